//! A parser of event streams, step by step as WHATWG HTML, section "Interpreting an event
//! stream", words it. Slow and plain on purpose: it is what the engine's encoder is held against.

use std::collections::VecDeque;

/// What an `EventSource` would fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub name: String,
    pub data: String,
    pub last_id: String,
}

#[derive(Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    data: String,
    name: String,
    id_buffer: String,
    /// The last event ID that a reconnecting client would send.
    pub last_id: String,
    /// What it was after each block.
    pub ids: Vec<String>,
    pub retry: Option<u64>,
    pub comments: usize,
    /// Blocks that moved the id and fired nothing.
    pub id_blocks: usize,
    has_id: bool,
}

impl Parser {
    pub fn feed(&mut self, bytes: &[u8], messages: &mut VecDeque<Message>) {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.line(&line, messages);
                }
                _ => self.line.push(byte),
            }
        }
    }

    fn line(&mut self, line: &[u8], messages: &mut VecDeque<Message>) {
        let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) if !self.begun => rest,
            _ => line,
        };
        self.begun = true;
        let line = String::from_utf8_lossy(line).into_owned();
        if line.is_empty() {
            return self.dispatch(messages);
        }
        if line.starts_with(':') {
            self.comments += 1;
            return;
        }
        let (field, value) = match line.split_once(':') {
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (&*line, ""),
        };
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => {
                self.id_buffer = value.to_owned();
                self.has_id = true;
            }
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, messages: &mut VecDeque<Message>) {
        self.last_id = self.id_buffer.clone();
        self.ids.push(self.last_id.clone());
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        let has_id = std::mem::take(&mut self.has_id);
        if data.is_empty() {
            self.id_blocks += usize::from(has_id);
            return;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        messages.push_back(Message { name, data, last_id: self.last_id.clone() });
    }
}
