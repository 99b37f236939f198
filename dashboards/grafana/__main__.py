"""Write every dashboard's JSON."""

from dashboards.grafana.files import write

if __name__ == "__main__":
    write()
