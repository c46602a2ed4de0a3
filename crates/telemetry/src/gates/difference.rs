//! What responses say: the gate of the comparison by route and field.
//!
//! It judges the place that differs most beyond noise, as a share of its route's responses, so that a route that is rarely asked can fail
//! as well. What counts and what is noise is decided in [`comparison::noise`].

use comparison::Report;

use super::{Answer, Gate, limit, pick, share_up};

pub(super) fn judge(most: f64, report: Option<&Report>) -> Gate {
    let gate = |result, found, why| Gate {
        gate: "max_difference",
        result,
        wanted: format!("<= {}", limit(most)),
        found,
        why,
    };
    let Some(report) = report.filter(|report| report.responses.compared > 0) else {
        let why = "no responses were compared by what they say (--protocol)".to_owned();
        return gate(Answer::CannotTell, "-".to_owned(), why);
    };
    match &report.largest {
        None => gate(Answer::Ok, share_up(0.0), alone(report).to_owned()),
        Some(largest) => {
            let found = share_up(largest.share);
            gate(pick(largest.share <= most), found, largest.words())
        }
    }
}

/// What is to be known of a run without a baseline in which nothing was found.
const fn alone(report: &Report) -> &'static str {
    if report.has_baseline || report.responses.differing == 0 {
        ""
    } else {
        "what differs always was left out: without a baseline it may be a clock"
    }
}

#[cfg(test)]
mod tests {
    use comparison::report::{Largest, Responses};
    use comparison::{Kind, Report};

    use super::judge;
    use crate::gates::Answer;

    fn report(share: Option<f64>) -> Report {
        Report {
            responses: Responses {
                compared: 6000,
                differing: 5000,
                ..Responses::default()
            },
            largest: share.map(|share| Largest {
                method: "GET".to_owned(),
                route: "/users/*".to_owned(),
                kind: Kind::Value,
                name: ".price".to_owned(),
                responses: 23,
                of: 2400,
                share,
            }),
            ..Report::default()
        }
    }

    #[test]
    fn the_largest_share_of_a_route_is_judged() {
        let failed = judge(0.001, Some(&report(Some(0.0125))));
        assert_eq!(failed.result, Answer::Failed);
        assert_eq!((&*failed.wanted, &*failed.found), ("<= 0.1 %", "1.250 %"));
        assert_eq!(
            failed.why,
            "GET /users/* .price: another value in 23 of 2400"
        );
        assert_eq!(judge(0.02, Some(&report(Some(0.0125)))).result, Answer::Ok);
        let alone = judge(0.0, Some(&report(None)));
        assert_eq!(alone.result, Answer::Ok);
        assert!(alone.why.contains("without a baseline"), "{}", alone.why);
        for nothing in [None, Some(&Report::default())] {
            assert_eq!(judge(0.5, nothing).result, Answer::CannotTell);
        }
    }
}
