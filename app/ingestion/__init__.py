"""From an uploaded file to typed columns: text, its dialect, what is in the columns, arrays.

Every step reads the file as a stream and holds a bounded part of it.
"""
