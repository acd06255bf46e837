"""Tenants, their keys and quotas."""
