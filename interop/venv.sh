# Sourced by the scripts that run Clerk's Python SDK, which is installed into a virtual environment.

# The version is pinned, so that a new release of the SDK cannot change a result.
python_sdk=clerk-backend-api==7.0.0

# Prints the path of the interpreter that has the SDK. Fails without Python 3 with venv.
python_with_sdk() {
    local venv=$PWD/target/python-sdk
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv" >/dev/null 2>&1 || return
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$python_sdk" >&2 || return
    echo "$venv/bin/python"
}
