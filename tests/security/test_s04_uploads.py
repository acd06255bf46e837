"""S4 for files: neither their names nor what stands in them becomes a path."""

from tests.app.uploads import kept, sent
from tests.service import Service

SPELLINGS = [
    prefix + middle.join(("", "etc", "passwd"))
    for prefix in (
        "..",
        "../..",
        "....//",
        "%2e%2e",
        "..%2f",
        "..\\",
        "%c0%ae%c0%ae",
        "/",
        "//",
        "~",
    )
    for middle in ("/", "\\", "%2f", "%5c", "%252f", "/./", "/../", "／")
] + ["file:///etc/passwd", "C:\\windows\\win.ini", "\\\\host\\share", ".", "..", "con", "a" * 100]


def tree(service: Service) -> set[str]:
    """Every path below the service's home, but for what a database writes by itself."""
    found = {str(path.relative_to(service.home)) for path in service.home.rglob("*")}
    return {path for path in found if not path.startswith("objects/dataset")}


def test_names_of_data_sets_columns_and_files_are_words_alone(api: Service) -> None:
    sent(api.http, "x,y\n1,2\n2,3\n")
    before, files = tree(api), kept(api)
    for spelling in SPELLINGS:
        text = f'"{spelling}",y\n{spelling},1\n"b",2\n'
        answer = sent(api.http, text, name=spelling, header=True, delimiter=",")
        assert answer.status_code == 201, answer.text
        assert answer.json()["name"] == spelling
        form = {"file": (spelling, b"x,y\n1,2\n2,3\n", "text/csv")}
        made = api.http.post("/v1/datasets", params={"target": "y"}, files=form)
        assert made.status_code == 201, made.text
        for one in (answer, made):
            assert api.http.delete(one.headers["Location"]).status_code == 204
    assert tree(api) == before
    assert kept(api) == files
