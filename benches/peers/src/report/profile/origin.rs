//! The origin of a line: a crate, std, libc.

/// The rows for crates, and the crates of each.
const CRATES: [(&str, &[&str]); 13] = [
    ("hyper", &["hyper"]),
    ("hyper-util", &["hyper-util"]),
    ("http, http-body", &["http", "http-body", "http-body-util"]),
    ("httparse", &["httparse"]),
    ("h2", &["h2"]),
    ("tokio, mio", &["tokio", "tokio-util", "mio", "socket2"]),
    ("serde, serde_json", &["serde", "serde_core", "serde_json"]),
    ("bytes", &["bytes"]),
    (
        "tower",
        &["tower", "tower-http", "tower-layer", "tower-service"],
    ),
    (
        "rustls",
        &[
            "hyper-rustls",
            "rustls",
            "rustls-pki-types",
            "rustls-webpki",
            "tokio-rustls",
        ],
    ),
    (CRYPTOGRAPHY, &["aws-lc-rs", "aws-lc-sys", "ring"]),
    ("reqwest", &["reqwest"]),
    ("clerk-rs", &["clerk-rs"]),
];

const CRYPTOGRAPHY: &str = "ring, aws-lc";
const OTHERS: &str = "everything else";

/// Returns the row of a line, by its file or, if the file is unknown, by the name of the function.
pub(super) fn of(file: &str, function: &str) -> &'static str {
    if let Some(path) = in_repository(file) {
        return if path.starts_with("benches/") {
            "the caller"
        } else {
            "this crate"
        };
    }
    if let Some(name) = registry_crate(file) {
        let found = CRATES.iter().find(|(_, crates)| crates.contains(&name));
        return found.map_or(OTHERS, |(row, _)| row);
    }
    if is_std(file) {
        return "std";
    }
    if file.starts_with("/aws-lc/") {
        return CRYPTOGRAPHY;
    }
    by_name(function)
}

/// Returns the path relative to the root of this repository.
fn in_repository(file: &str) -> Option<&str> {
    let root = env!("CARGO_MANIFEST_DIR").strip_suffix("benches/peers")?;
    file.strip_prefix(root)
}

/// Returns `hyper-util` for `…/registry/src/<index>/hyper-util-0.1.21/src/lib.rs`.
fn registry_crate(file: &str) -> Option<&str> {
    let (_, path) = file.split_once("/registry/src/")?;
    let folder = path.split('/').nth(1)?;
    let version = folder
        .match_indices('-')
        .find(|(at, _)| folder[at + 1..].starts_with(|it: char| it.is_ascii_digit()));
    version.map(|(at, _)| &folder[..at])
}

/// Returns whether this is the standard library or its dependency, with or without installed sources.
fn is_std(file: &str) -> bool {
    file.starts_with("/rustc/")
        || file.starts_with("/rust/deps/")
        || file.contains("/rustlib/src/rust/library/")
}

/// Returns the row by the symbol, for libc and assembly.
fn by_name(function: &str) -> &'static str {
    let name = function.trim_start_matches("__rustc::");
    let name = name.trim_start_matches('_').trim_start_matches("libc_");
    let begins = |words: &[&str]| words.iter().any(|it| name.starts_with(it));
    if begins(&["mempcpy", "memcpy", "memmove", "memset"]) {
        "memcpy, memmove, memset"
    } else if name == "free" || begins(&ALLOCATOR) {
        "malloc, free, realloc"
    } else if begins(&ASSEMBLY) {
        CRYPTOGRAPHY
    } else {
        OTHERS
    }
}

/// Symbol prefixes in the assembly of cryptography.
const ASSEMBLY: [&str; 3] = ["ring_core_", "aws_lc_", "aesni_"];

/// Symbol prefixes of the allocator: public, internal to glibc, and Rust's.
const ALLOCATOR: [&str; 16] = [
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "posix_memalign",
    "int_malloc",
    "int_free",
    "int_realloc",
    "unlink_chunk",
    "sysmalloc",
    "tcache_",
    "alloc_perturb",
    "rust_alloc",
    "rust_dealloc",
    "rust_realloc",
    "rust_no_alloc_shim",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_this_repository_is_the_crate_or_the_caller() {
        let peers = env!("CARGO_MANIFEST_DIR");
        let root = peers.strip_suffix("/benches/peers").unwrap();
        assert_eq!(of(&format!("{root}/src/lib.rs"), "f"), "this crate");
        assert_eq!(of(&format!("{peers}/src/bin/call.rs"), "f"), "the caller");
        assert_eq!(of(&format!("{root}-of-others/src/lib.rs"), "f"), OTHERS);
    }

    #[test]
    fn crate_is_identified_by_its_whole_name() {
        for (folder, row) in [
            ("hyper-1.12.0", "hyper"),
            ("hyper-util-0.1.21", "hyper-util"),
            ("hyper-rustls-0.27.10", "rustls"),
            ("http-1.5.0", "http, http-body"),
            ("httparse-1.10.1", "httparse"),
            ("h2-0.4.20", "h2"),
            ("mio-1.2.5-rc.1", "tokio, mio"),
            ("ring-0.17.14", "ring, aws-lc"),
            ("url-2.5.4", OTHERS),
        ] {
            let file = format!("/home/u/.cargo/registry/src/index-1a2b/{folder}/src/lib.rs");
            assert_eq!(of(&file, "f"), row);
        }
    }

    #[test]
    fn standard_library_is_identified_by_either_path() {
        for file in [
            "/rustc/5980/library/alloc/src/vec/mod.rs",
            "/rust/deps/hashbrown-0.16.1/src/map.rs",
            "/home/u/.rustup/toolchains/t/lib/rustlib/src/rust/library/core/src/str/mod.rs",
        ] {
            assert_eq!(of(file, "f"), "std");
        }
    }

    #[test]
    fn libc_and_assembly_are_identified_by_the_symbol() {
        for (name, row) in [
            ("malloc", "malloc, free, realloc"),
            ("free", "malloc, free, realloc"),
            ("_int_free", "malloc, free, realloc"),
            ("unlink_chunk.constprop.0", "malloc, free, realloc"),
            ("__rustc::__rust_dealloc", "malloc, free, realloc"),
            ("__memcpy_avx_unaligned_erms", "memcpy, memmove, memset"),
            ("memmove@@GLIBC_2.2.5", "memcpy, memmove, memset"),
            ("ring_core_0_17_14__gcm_ghash_avx", "ring, aws-lc"),
            ("_aesni_ctr32_ghash_6x", "ring, aws-lc"),
            ("__memcmp_avx2_movbe", OTHERS),
            ("freeaddrinfo", OTHERS),
            ("rust_eh_personality", OTHERS),
        ] {
            assert_eq!(of("???", name), row);
            assert_eq!(of("./malloc/./malloc/malloc.c", name), row);
        }
    }

    #[test]
    fn file_has_precedence_over_the_symbol() {
        assert_eq!(
            of("/rustc/5980/library/core/src/ptr/mod.rs", "malloc"),
            "std"
        );
    }
}
