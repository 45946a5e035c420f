//! [`Query`], a `SELECT` with conditions that a filter adds. Values are bound, never part of the text.

use tokio_postgres::{
    Client, Row,
    types::{ToSql, Type},
};

use crate::Result;

/// How many characters of a column are in its index, which has no room for a long value.
const INDEXED: usize = 256;

/// A `SELECT` over a relation that has a column `id`.
///
/// It is planned for its values, and takes one round trip.
pub(super) struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    /// Begins with a relation, or a `SELECT` whose parameters are `values`.
    pub(super) fn new(select: &str, values: Vec<Value>) -> Self {
        let sql = format!("SELECT * FROM ({select}) AS rows WHERE true");
        Self { sql, values }
    }

    /// Adds a condition.
    pub(super) fn push(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    /// Adds a condition whose right side is a value, if there is one.
    pub(super) fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.values.push(value.into());
            self.push(&format!("{condition} ${}", self.values.len()));
        }
    }

    /// Adds the condition that a column with an index on its first part has a value.
    pub(super) fn and_equal(&mut self, column: &str, value: Option<&String>) {
        self.and(
            &format!("left({column}, {INDEXED}) ="),
            value.map(|value| first_part(value)),
        );
        self.and(&format!("{column} ="), value.cloned());
    }

    /// Adds the condition that a column with an index on its first part begins with a text.
    pub(super) fn and_prefix(&mut self, column: &str, prefix: Option<&String>) {
        let first = prefix.map(|prefix| first_part(prefix));
        // A range uses the index, because the column has the collation `C`.
        self.and(&format!("left({column}, {INDEXED}) >="), first.clone());
        let end = first.map(|first| first + "\u{10ffff}");
        self.and(&format!("left({column}, {INDEXED}) <"), end);
        self.and(&format!("{column} ^@"), prefix.cloned());
    }

    /// Reads rows, the newest first.
    pub(super) async fn rows<T>(
        mut self,
        client: &Client,
        limit: u32,
        read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.sql.push_str(" ORDER BY id DESC");
        if limit < u32::MAX {
            self.sql.push_str(&format!(" LIMIT {limit}"));
        }
        rows(client, &self.sql, &self.values, read).await
    }
}

/// Reads the rows of a statement.
///
/// A column must have a built-in type. The client asks the server for another one on the same connection, on which the
/// rows wait to be read: with many rows it never ends.
pub(super) async fn rows<T>(
    client: &Client,
    sql: &str,
    values: &[Value],
    read: impl FnMut(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    let values: Vec<_> = values.iter().map(Value::typed).collect();
    let rows = client.query_typed(sql, &values).await?;
    rows.iter().map(read).collect()
}

fn first_part(text: &str) -> String {
    text.chars().take(INDEXED).collect()
}

/// A value of a parameter.
#[derive(Debug)]
pub(super) enum Value {
    Number(i64),
    Text(String),
}

impl Value {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Number(number) => (number, Type::INT8),
            Self::Text(text) => (text, Type::TEXT),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        // PostgreSQL cannot store U+0000, and a derived column has this character in its place.
        Self::Text(text.replace('\0', "\u{fffd}"))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Reads a column of a time in milliseconds, or of another number that is not negative.
pub(super) fn number(row: &Row, column: &str) -> Result<Option<u64>> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.map(u64::try_from).transpose()?)
}
