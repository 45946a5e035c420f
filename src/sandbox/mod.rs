//! A stand-in for the API.
