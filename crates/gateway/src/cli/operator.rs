//! Makes the token of an operator. The configuration holds its hash alone.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Failure;

#[derive(Args)]
#[command(after_help = "\
The token goes to stderr, the lines of the configuration to stdout, so that `>> gateway.toml` keeps the token out \
of the file. It is shown once.")]
pub(super) struct OperatorArgs {
    /// The name in the configuration and in the audit
    name: String,
    /// What the operator may do
    #[arg(
        long = "role",
        value_name = "ROLE",
        required = true,
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(["view", "impersonate", "end", "pause"])
    )]
    roles: Vec<String>,
    /// The user id that begins impersonations in the console; without it, the name
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// A group that the policy names, also several times
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    groups: Vec<String>,
}

#[derive(Serialize)]
struct Operators {
    operators: BTreeMap<String, Operator>,
}

#[derive(Serialize)]
struct Operator {
    token_sha256: String,
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
}

pub(super) fn run(args: OperatorArgs) -> Result<ExitCode, Failure> {
    let token = new_secret("gwop_")?;
    let operator = Operator {
        token_sha256: sha256(&token),
        roles: args.roles,
        actor: args.actor,
        groups: args.groups,
    };
    let operators = BTreeMap::from([(args.name, operator)]);
    let lines = toml::to_string(&Operators { operators }).map_err(Failure::failed)?;
    write!(io::stdout(), "\n{lines}")?;
    writeln!(io::stderr(), "The operator's token, shown once:\n{token}")?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a secret of 256 random bits.
pub(super) fn new_secret(prefix: &str) -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{prefix}{}", hex::encode(bytes)))
}

pub(super) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
