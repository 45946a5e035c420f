# Sourced by those that run Clerk's Python SDK, which is installed into a virtual environment.

# Prints the path of the interpreter that has the SDK; fails without Python 3 with venv.
python_with_sdk() {
    local venv=$PWD/target/python-sdk
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv" >/dev/null 2>&1 || return
    "$venv/bin/pip" install --quiet --disable-pip-version-check clerk-backend-api >&2 || return
    echo "$venv/bin/python"
}
