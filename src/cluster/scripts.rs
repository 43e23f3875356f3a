//! The scripts that the server runs, each as one step: nothing of others comes between.
//!
//! The keys, each beginning with the cluster's prefix in braces, so that they are in one slot of a sharded server:
//!
//! ```text
//!   order      hash    server (its run), epoch (the life's number), token (its text), last (the last number),
//!                      announced (that of the last announcement)
//!   stream     stream  an entry for each batch: its id is the life's number and the number of its last item
//!   lives      list    the lives, oldest first
//!   rules      hash    the rules that are set, for nodes that join when their items are gone
//!   node:NAME  string  the life and the serial of the node's last batch; forgotten after a day
//!   nodes      hash    when each node has shown last that it is there, and since when nodes do so here
//!   questions  stream  the newest questions to all nodes; gone a minute after the last
//!   answers:Q  stream  the nodes' answers to a question; gone when it is over
//! ```

/// Takes a batch: `KEYS` are order, stream, the node's key and rules; `ARGV` the server's run, the number of the life
/// for which the node appends, the node's name, the batch's serial, the number of its items, the batch, the number of
/// the life that the node reads, and then a subscription and a rule, or nothing, for each rule that it changes.
///
/// Answers `ok` and the batch's last number; `had` if the stream has the batch where the node will read it; `stale` if
/// the present life is another one, or is to be begun before; `gap` if an earlier batch of the node is missing. A
/// server that has gone back to older data may have a batch in a life that its node has left behind.
pub(super) const APPEND: &str = r"
local order = redis.call('HMGET', KEYS[1], 'server', 'epoch', 'last')
if order[1] ~= ARGV[1] or order[2] ~= ARGV[2] then
  return {'stale'}
end
local node = redis.call('GET', KEYS[3])
if node then
  local epoch, serial = string.match(node, '^(%d+) (%d+)$')
  local had = tonumber(ARGV[4]) <= tonumber(serial)
  if had and tonumber(epoch) >= tonumber(ARGV[7]) then
    return {'had'}
  end
  if not had and epoch == order[2] and tonumber(ARGV[4]) ~= tonumber(serial) + 1 then
    return {'gap'}
  end
end
local last = string.format('%.0f', tonumber(order[3]) + tonumber(ARGV[5]))
local time = redis.call('TIME')
local time_ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('XADD', KEYS[2], order[2] .. '-' .. last,
  'n', ARGV[3], 's', ARGV[4], 'i', ARGV[5], 't', time_ms, 'b', ARGV[6])
redis.call('HSET', KEYS[1], 'last', last)
redis.call('SET', KEYS[3], order[2] .. ' ' .. ARGV[4], 'EX', 86400)
for at = 8, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', KEYS[4], ARGV[at])
  else
    redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  end
end
return {'ok', last}
";

/// Begins a life, unless another node has: `KEYS` are order, stream and lives; `ARGV` the server's run, the epoch's
/// text, the life's number that the node knows, and the last number that it has read. Answers the present life's number.
///
/// A life's number, and its first item's, are above those of all lives that were begun before, also of those that
/// neither the server nor the node knows any more but another node does: so they are taken from the clock. A life
/// whose items had numbers that a node has had would be passed over there. Items would have to come at 8 million a
/// second over a whole life to overtake the clock. Where clocks of several servers differ there is a margin, which
/// the clock passes in an eighth of a second.
pub(super) const BEGIN: &str = r"
local order = redis.call('HMGET', KEYS[1], 'server', 'epoch', 'last', 'token')
local known, reached = tonumber(ARGV[3]), tonumber(ARGV[4])
local epoch, last = tonumber(order[2] or '0'), tonumber(order[3] or '0')
if order[1] == ARGV[1] and (epoch > known or (epoch == known and last >= reached)) then
  return order[2]
end
-- A server that has nothing had the life that the node knows; one that has a life of its own had another one.
local before = tonumber(order[2] or ARGV[3])
local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])
epoch = math.max(before + 1, known + 1, seconds * 1000000 + micros)
-- Milliseconds since 2026, which keeps ids short.
local millis = (seconds - 1767225600) * 1000 + math.floor(micros / 1000)
local first = math.max(last + 1048576, reached + 1048576, millis * 8192)
local text = string.format('%.0f %s %.0f %.0f %.0f %.0f %.0f',
  epoch, ARGV[2], first, before, last, known, reached)
redis.call('HSET', KEYS[1], 'server', ARGV[1], 'epoch', string.format('%.0f', epoch),
  'token', ARGV[2], 'last', string.format('%.0f', first))
redis.call('RPUSH', KEYS[3], text)
redis.call('LTRIM', KEYS[3], -64, -1)
redis.call('XADD', KEYS[2], string.format('%.0f-%.0f', epoch, first), 'life', text)
return string.format('%.0f', epoch)
";

/// Says how far a node had read what the server has lost: `KEYS` are order and stream; `ARGV` the server's run, the
/// present life's number, and the announcement. Answers `ok` and its number, or `stale` if the present life is another
/// one.
pub(super) const ANNOUNCE: &str = r"
local order = redis.call('HMGET', KEYS[1], 'server', 'epoch', 'last')
if order[1] ~= ARGV[1] or order[2] ~= ARGV[2] then
  return {'stale'}
end
local last = string.format('%.0f', tonumber(order[3]) + 1)
redis.call('XADD', KEYS[2], order[2] .. '-' .. last, 'reached', ARGV[3])
redis.call('HSET', KEYS[1], 'last', last, 'announced', last)
return {'ok', last}
";

/// Says that a node is there, and forgets those that have not for long: `KEYS` is nodes; `ARGV` the node's name, and
/// after how many milliseconds a node is forgotten. Answers the time. What is not a node's there is `since`: the time
/// when the first one said so, also after all keys were lost.
pub(super) const ENROL: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local known = redis.call('HGETALL', KEYS[1])
if #known == 0 then
  redis.call('HSET', KEYS[1], 'since', string.format('%.0f', now))
end
for i = 1, #known, 2 do
  if known[i] ~= 'since' and now - tonumber(known[i + 1]) > tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[1], known[i])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now))
return string.format('%.0f', now)
";

/// Asks all nodes: `KEYS` are nodes and questions; `ARGV` the most questions that are kept, after how many
/// milliseconds a node that has not shown itself is gone, and the question's name, asker, milliseconds and bytes.
/// Answers for how many milliseconds nodes are written down there, and the names of those that are there.
///
/// What a user may not do stops a script where it stands: so nothing is appended before it is known that it expires.
pub(super) const ASK: &str = r"
redis.call('EXPIRE', KEYS[2], 60)
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], '*', 'q', ARGV[3], 'n', ARGV[4], 'w', ARGV[5], 'b', ARGV[6])
redis.call('EXPIRE', KEYS[2], 60)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local known, names, age = redis.call('HGETALL', KEYS[1]), {}, 0
for i = 1, #known, 2 do
  local before = now - tonumber(known[i + 1])
  if known[i] == 'since' then
    age = math.max(before, 0)
  elseif before <= tonumber(ARGV[2]) then
    names[#names + 1] = known[i]
  end
end
return {string.format('%.0f', age), names}
";

/// Answers a question: `KEYS` is the question's answers; `ARGV` after how many seconds they are gone, the node's name,
/// and its answer.
pub(super) const ANSWER: &str = r"
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[1], '*', 'n', ARGV[2], 'b', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {'ok'}
";

/// The names of a cluster's keys.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) order: String,
    pub(super) stream: String,
    pub(super) lives: String,
    pub(super) rules: String,
    pub(super) node: String,
    pub(super) nodes: String,
    pub(super) questions: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, producer: &str) -> Keys {
        let key = |name: &str| format!("{{{prefix}}}:{name}");
        Keys {
            order: key("order"),
            stream: key("stream"),
            lives: key("lives"),
            rules: key("rules"),
            node: key(&format!("node:{producer}")),
            nodes: key("nodes"),
            questions: key("questions"),
        }
    }

    /// Where the answers to a question are.
    pub(super) fn answers(prefix: &str, question: &str) -> String {
        format!("{{{prefix}}}:answers:{question}")
    }
}
