"""Write every dashboard's JSON."""

from dashboards.grafana.files import write_boards

if __name__ == "__main__":
    write_boards()
