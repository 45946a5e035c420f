//! The demo: a gateway against the sandbox, or against Clerk where `CLERK_SECRET_KEY` is set, with files that
//! can become a configuration.

use std::{
    env,
    fs::{self, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clerk_actor_tokens::sandbox::Sandbox;
use clerk_actor_tokens_gateway::{Config, config::SecretFrom};

use super::{
    Failure,
    operator::{new_secret, sha256},
    serve::{Addresses, until_stopped},
};

const CONFIG: &str = include_str!("demo.toml");
const CLERK_KEY: &str = "CLERK_SECRET_KEY";

pub(super) async fn run(data: Option<PathBuf>, port: Option<u16>) -> Result<ExitCode, Failure> {
    // Removed on drop.
    let mut temporary = None;
    let folder = match data {
        Some(folder) => {
            create_folder(&folder)?;
            folder
        }
        None => {
            let name = "clerk-actor-tokens-gateway-";
            let folder = temporary.insert(tempfile::Builder::new().prefix(name).tempdir()?);
            folder.path().to_owned()
        }
    };
    let file = |name: &str| folder.join(name);
    let key = keep(&file("wire.key"), || new_secret("sk_test_"))?;
    let token = keep(&file("operator.token"), || new_secret("gwop_"))?;
    keep(&file("gateway.toml"), || {
        Ok(format!("{CONFIG}token_sha256 = \"{}\"\n", sha256(&token)))
    })?;
    let mut config = Config::read(file("gateway.toml")).map_err(Failure::invalid)?;
    if let Some(port) = port {
        config.server.listen.set_port(port);
        // Several demos on ports of their own do not meet here.
        config.server.ops_listen.set_port(0);
    }
    let is_clerk = env::var_os(CLERK_KEY).is_some_and(|key| !key.is_empty());
    let mut sandbox = None;
    if !is_clerk {
        let state = Sandbox::new();
        let server = state.spawn().await?;
        keep(&file("sandbox.key"), || {
            Ok(state.secret_key().expose().to_owned())
        })?;
        config.clerk.secret_key = SecretFrom::File(file("sandbox.key"));
        config.clerk.api_url = Some(server.base_url());
        sandbox = Some(server);
    }
    let is_kept = temporary.is_none();
    let ended = until_stopped(config, None, |addresses| {
        let behind = match &sandbox {
            Some(server) => format!("a sandbox at {}; nothing reaches Clerk", server.base_url()),
            None => format!("CLERK: {CLERK_KEY} is set, so tokens are real"),
        };
        let folder = folder.display();
        let kept = if is_kept { "" } else { " (removed at exit)" };
        let Addresses { listen, ops } = addresses;
        writeln!(io::stdout(), "{}", text(listen, ops, &key, &token))?;
        writeln!(
            io::stdout(),
            "behind it        {behind}\nfiles            {folder}{kept}"
        )?;
        writeln!(io::stdout(), "\n{}", lines_to_try(listen, &key, &token))
    });
    ended.await
}

fn text(listen: SocketAddr, ops: SocketAddr, key: &str, token: &str) -> String {
    format!(
        "gateway          http://{listen}
console          http://{listen}/console
ops              http://{ops}
wire key         {key}
operator         demo, with the token {token}"
    )
}

fn lines_to_try(listen: SocketAddr, key: &str, token: &str) -> String {
    format!(
        r#"Create a token, as any Clerk SDK does with the base URL http://{listen}/v1 and the wire key:

  curl -sS http://{listen}/v1/actor_tokens -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{{"user_id":"user_subject","actor":{{"sub":"user_admin"}}}}'

End it as an operator:

  GATEWAY_URL=http://{listen} GATEWAY_TOKEN={token} clerk-actor-tokens-gateway end --subject user_subject

Ctrl-C stops the demo."#
    )
}

/// Returns what the file holds, or creates it, readable by its owner alone.
fn keep(path: &Path, make: impl FnOnce() -> io::Result<String>) -> Result<String, Failure> {
    let named = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.write(true).create_new(true).open(path) {
        Ok(mut file) => {
            let text = make().map_err(named)?;
            file.write_all(text.as_bytes()).map_err(named)?;
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path)
            .map(|text| text.trim_end().to_owned())
            .map_err(named),
        Err(error) => Err(named(error)),
    }
}

fn create_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let created = builder.recursive(true).create(path);
    created.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
