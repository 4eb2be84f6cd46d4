# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's sources of packages as people write them: the real apt on a repository of the test's own."""
import hashlib
import pathlib

from tap import Taut, check, main, need_program, skip, test

STANZA = """Package: linux-image-cloud-amd64
Version: {version}
Architecture: amd64
Maintainer: nobody <nobody@localhost>
Depends: linux-image-{version}-cloud-amd64 (= {version})
Filename: pool/none.deb
Size: 1
SHA256: {zeros}
Description: none

"""


def os_release(key):
    lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line).get(key, "").strip('"')


def repository(folder, origin, version, suites):
    """Unsigned lists with one package in each suite."""
    for suite in suites:
        dist = folder / "dists" / suite
        (dist / "main" / "binary-amd64").mkdir(parents=True)
        packages = STANZA.format(version=version, zeros="0" * 64).encode()
        (dist / "main" / "binary-amd64" / "Packages").write_bytes(packages)
        (dist / "Release").write_text(
            f"Origin: {origin}\nSuite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: amd64\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
            f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages\n")


def fetch_from(taut, sources):
    """`taut kernel fetch cloud` where apt has these files among its sources and no others; the package that the lists name is
    not there, so it ends with a message that says which one was taken."""
    parts = taut.folder / "parts"
    parts.mkdir()
    for name, text in sources.items():
        (parts / name).write_bytes(text.encode())
    configuration = taut.folder / "apt.conf"
    configuration.write_text(f'Dir::Etc::sourceparts "{parts}";\nDir::Etc::sourcelist "/dev/null";\n')
    return taut.run("kernel", "fetch", "cloud",
                    environment={"APT_CONFIG": str(configuration), "TAUT_CACHE": str(taut.folder / "cache")})


def apt_here():
    need_program("apt-get")
    if os_release("ID") != "debian" or not os_release("VERSION_CODENAME"):
        skip("this is not Debian", "kernels")
    return os_release("VERSION_CODENAME")


@test("a dead source of the same codename, and another's packages, stand in no way")
def _():
    codename = apt_here()
    with Taut() as taut:
        repository(taut.folder / "debian", "Debian", "6.9.1", [codename, codename + "-backports"])
        repository(taut.folder / "shop", "Shop", "9.9.9", [codename])
        result = fetch_from(taut, {
            "a.list": f"deb [trusted=yes] file:{taut.folder}/gone {codename} main\n"
                      f"deb [trusted=yes] http://127.0.0.1:9/ {codename} main\n",
            "b.list": f"deb [trusted=yes] file:{taut.folder}/shop {codename} main\n",
            "c.list": f"deb [trusted=yes] file:{taut.folder}/debian {codename} main\n"
                      f"deb [trusted=yes] file:{taut.folder}/debian {codename}-backports main\n"})
        result.wants(1, "linux-image-6.9.1-cloud-amd64", "left out")


@test("options of a source are kept, and files may have the line ends of other systems")
def _():
    codename = apt_here()
    with Taut() as taut:
        repository(taut.folder / "debian", "Debian", "6.9.1", [codename, codename + "-backports"])
        # Without its options apt would refuse a repository that is not signed.
        result = fetch_from(taut, {
            "a.list": f"deb [arch=amd64 trusted=yes] file:{taut.folder}/debian {codename} main\r\n",
            "b.sources": f"Types: deb\r\nURIs: file:{taut.folder}/debian\r\nSuites: {codename}-backports\r\n"
                         "Components: main\r\nArchitectures: amd64\r\nTrusted: yes\r\n"})
        result.wants(1, "linux-image-6.9.1-cloud-amd64")
        check("left out" not in result.err, f"a source was left out\n{result}")


main()
