# Installs Clerk's Python SDK into a virtual environment. To be sourced.

# Prints the path of the interpreter with the SDK. Fails without Python 3 with venv.
python_with_sdk() {
    local venv=$PWD/target/python-sdk
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv" >/dev/null 2>&1 || return
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement interop/requirements.txt >&2 || return
    echo "$venv/bin/python"
}
