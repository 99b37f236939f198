"""Grafana's dashboards as code. `make dashboards` writes the JSON in `boards/`; a test finds differences."""
