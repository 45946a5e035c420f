//! Parses the files of callgrind.

use std::collections::HashMap;

use bench_peers::Error;

/// The instructions of one line in one function, without its callees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost<'a> {
    /// The file of the line, which may be inlined into the function.
    pub(super) file: &'a str,
    pub(super) function: &'a str,
    pub(super) instructions: u64,
}

/// Returns all costs in a file.
pub(super) fn costs(text: &str) -> Result<Vec<Cost<'_>>, Error> {
    let (mut files, mut functions) = (Names::default(), Names::default());
    // The current function, its file, and the file of the next lines.
    let (mut function, mut its_file, mut file) = ("", "", "");
    let mut is_of_call = false;
    let mut costs = Vec::new();
    for line in text.lines() {
        match line.split_once('=') {
            Some(("fl", name)) => {
                its_file = files.resolve(name)?;
                file = its_file;
            }
            Some(("fi" | "fe", name)) => file = files.resolve(name)?,
            Some(("fn", name)) => {
                function = functions.resolve(name)?;
                file = its_file;
            }
            Some(("cfi" | "cfl", name)) => _ = files.resolve(name)?,
            Some(("cfn", name)) => _ = functions.resolve(name)?,
            // The next line has the cost of the callee, which is listed elsewhere.
            Some(("calls", _)) => is_of_call = true,
            _ if line.starts_with(|it: char| it.is_ascii_digit() || "+-*".contains(it)) => {
                if std::mem::take(&mut is_of_call) {
                    continue;
                }
                let cost = line.split_whitespace().nth(1);
                costs.push(Cost {
                    file,
                    function,
                    instructions: cost.ok_or("a line has no cost")?.parse()?,
                });
            }
            _ => {}
        }
    }
    Ok(costs)
}

/// Compressed names: `(7) name` at first, then `(7)`.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, &'a str>);

impl<'a> Names<'a> {
    fn resolve(&mut self, text: &'a str) -> Result<&'a str, Error> {
        let (number, name) = text.split_once(')').ok_or("a name has no number")?;
        if !name.is_empty() {
            self.0.insert(number, name.trim_start());
        }
        let known = self.0.get(number).copied();
        known.ok_or_else(|| format!("no name has the number {number})").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost<'a>(file: &'a str, function: &'a str, instructions: u64) -> Cost<'a> {
        Cost {
            file,
            function,
            instructions,
        }
    }

    #[test]
    fn cost_of_an_inlined_line_counts_for_its_file() {
        let text = "fl=(1) a.rs\nfn=(1) f\n10 3\nfi=(2) inlined.rs\n+4 5\nfe=(1)\n-2 7\n* 1\n";
        let expected = [
            cost("a.rs", "f", 3),
            cost("inlined.rs", "f", 5),
            cost("a.rs", "f", 7),
            cost("a.rs", "f", 1),
        ];
        assert_eq!(costs(text).unwrap(), expected);
    }

    #[test]
    fn cost_of_a_callee_is_not_counted_twice() {
        let text = "fl=(1) a.rs\nfn=(1) f\n10 3\ncfi=(2) b.rs\ncfn=(2) g\ncalls=1 20\n+1 900\n+1 4\n\
                    \nfl=(2)\nfn=(2)\n20 900\n";
        let expected = [
            cost("a.rs", "f", 3),
            cost("a.rs", "f", 4),
            cost("b.rs", "g", 900),
        ];
        assert_eq!(costs(text).unwrap(), expected);
    }

    #[test]
    fn function_without_a_file_is_in_the_previous_file() {
        let text = "fl=(1) a.rs\nfn=(1) f\nfi=(2) inlined.rs\n10 3\n\nfn=(2) g\n20 4\n";
        let expected = [cost("inlined.rs", "f", 3), cost("a.rs", "g", 4)];
        assert_eq!(costs(text).unwrap(), expected);
    }

    #[test]
    fn files_and_functions_are_numbered_separately() {
        let text = "ob=(1) /bin/call\nfl=(1) a.rs\nfn=(1) f\n1 1\ncob=(2) libc.so\ncfn=(2) (below main)\n\
                    calls=1 0\n1 1\n\nfn=(2)\n0 2\n";
        let expected = [cost("a.rs", "f", 1), cost("a.rs", "(below main)", 2)];
        assert_eq!(costs(text).unwrap(), expected);
    }

    #[test]
    fn head_and_foot_have_no_cost() {
        let text = "# callgrind format\nversion: 1\ncmd: call create --a=b\npositions: line\n\
                    events: Ir\nsummary: 12\n\ntotals: 12\n";
        assert_eq!(costs(text).unwrap(), []);
    }

    #[test]
    fn number_without_a_name_is_an_error() {
        assert!(costs("fn=(7)\n").is_err());
    }
}
