"""Two dashboards of Grafana as code. `make dashboards` writes their JSON to deploy/grafana/dashboards."""
