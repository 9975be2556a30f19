//! Rewriting what a file expects to what the machine does.

use super::Mode;
use super::Subject;
use super::expect::says;
use super::file::{Expect, Kind, Line, parse};
use super::log::{Happening, written};
use super::pattern::{Bindings, escape};
use super::plan::{Group, Stimulus, groups};
use super::play::Player;
use super::report::Failure;

/// The text of a file with its expectations (`S:`, `E:`, `B:`, `closed:`) changed to what the machine does when the
/// file is played whole. Steps that go as the file says are kept as they are; in the others every line that still fits
/// is kept, wildcards and all.
///
/// # Errors
///
/// A [`Failure`] if the file cannot be played on: a question has no answer, a law is broken, or the connection is
/// closed before the file ends.
pub fn updated_text<S: Subject>(name: &str, text: &str, subject: impl FnOnce() -> S) -> Result<String, Failure> {
    let dialog = parse(name, text)?;
    let mut player = Player::new(&dialog, subject(), Mode::Whole);
    player.lenient = true;
    let source: Vec<&str> = text.lines().collect();
    let mut updated: Vec<String> = Vec::new();
    // How many lines of the source are dealt with.
    let mut done = 0;
    for group in groups(&dialog) {
        player.act(&group)?;
        let before = player.bindings.clone();
        if !player.surprised && player.compare(&group).is_ok() && unsaid(&player).is_empty() {
            continue;
        }
        player.bindings = before;
        let start = group.lines.first().map_or(group.end, |(line, _)| line.number) - 1;
        updated.extend(source[done..start].iter().map(ToString::to_string));
        let inside = &source[start..group.end - 1];
        let listed = |number: usize| group.lines.iter().any(|(line, _)| (line.number..line.end).contains(&number));
        let remarks = inside.iter().enumerate().filter(|(index, _)| !listed(start + 1 + index));
        updated.extend(remarks.map(|(_, line)| line.to_string()));
        updated.extend(rewritten(&mut player, &group));
        done = group.end - 1;
        player.forget_output();
    }
    updated.extend(source[done..].iter().map(ToString::to_string));
    updated.push(String::new());
    Ok(updated.join("\n"))
}

/// The lines that expect exactly what came of a group.
fn rewritten<S: Subject>(player: &mut Player<'_, S>, group: &Group<'_>) -> Vec<String> {
    let many = player.dialog.connections() > 1;
    let (machine, peer) = player.dialog.config.letters();
    let written = |happening: &Happening, number| written(&[(number, happening.clone())], machine, peer, many);
    let mut unused: Vec<&Line> = group.lines.iter().map(|(line, _)| *line).collect();
    let mut updated = Vec::new();
    let happenings = player.log.since(player.group_start).to_vec();
    for number in player.numbers() {
        let wants_body = unused.iter().any(|line| line.connection == number && matches!(line.kind, Kind::Body(_)));
        let mut event = 0;
        let heard_body = |h: &(usize, Happening)| h.0 == number && matches!(h.1, Happening::Body(_));
        if wants_body && !happenings.iter().any(heard_body) {
            updated.extend(written(&Happening::Body(player.body(number, 0)), number));
        }
        // Answers that begin the group stand in front of the lines that are rewritten.
        let mut in_front = match &group.stimulus {
            Stimulus::Answer(lines) if number == group.connection => lines.len(),
            _ => 0,
        };
        for (_, happening) in happenings.iter().filter(|(of, _)| *of == number) {
            let happening = match happening {
                Happening::Sent(_) | Happening::Line(_) => continue,
                Happening::Answered(_) if in_front > 0 => {
                    in_front -= 1;
                    continue;
                }
                Happening::Body(_) if !wants_body => continue,
                Happening::Body(_) => Happening::Body(player.body(number, event)),
                Happening::Event(_) => {
                    event += 1;
                    happening.clone()
                }
                other => other.clone(),
            };
            for happening in apart(happening) {
                let fits = |line: &&Line| line.connection == number && keeps(line, &happening, &mut player.bindings);
                let kept = unused.iter().position(fits).map(|index| unused.remove(index).text.clone());
                updated.extend(kept.map_or_else(|| written(&happening, number), |line| vec![line]));
            }
        }
    }
    // Answers that nobody asked for, and what else the author asserts, stay for the next play to judge.
    let stays = |line: &&&Line| matches!(line.kind, Kind::Answer(_) | Kind::Never(_) | Kind::Wait(_));
    updated.extend(unused.iter().filter(stays).map(|line| line.text.clone()));
    for (number, reason) in player.newly_closed() {
        let says = |line: &&&Line| {
            line.connection == number
                && matches!(&line.kind, Kind::Closed(reasons) if reasons.fits(reason.as_bytes(), &mut player.bindings))
        };
        let kept = unused.iter().find(says).map(|line| line.text.clone());
        let line = Happening::Line(format!("closed: {}", escape(&reason)));
        updated.extend(kept.map_or_else(|| written(&line, number), |line| vec![line]));
    }
    updated
}

/// The connections that a group closed and of which the file nowhere says so.
fn unsaid<S: Subject>(player: &Player<'_, S>) -> Vec<usize> {
    let says = |number: usize, line: &Line| line.connection == number && matches!(line.kind, Kind::Closed(_));
    let closed = player.newly_closed().into_iter().map(|(number, _)| number);
    closed.filter(|number| !player.dialog.lines.iter().any(|line| says(*number, line))).collect()
}

/// Output line by line.
fn apart(happening: Happening) -> Vec<Happening> {
    match happening {
        Happening::Output(bytes) => {
            bytes.split_inclusive(|b| *b == b'\n').map(|line| Happening::Output(line.to_vec())).collect()
        }
        other => vec![other],
    }
}

/// Whether a line of the file says what happened.
fn keeps(line: &Line, happening: &Happening, bindings: &mut Bindings) -> bool {
    match (&line.kind, happening) {
        (Kind::Expect(Expect::Piece(piece)), Happening::Output(output)) => says(piece, output, bindings),
        (Kind::Event(pattern), Happening::Event(event)) => pattern.fits(event.as_bytes(), bindings),
        (Kind::Answer(_), Happening::Answered(_)) => true,
        _ => false,
    }
}
