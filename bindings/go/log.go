package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// LevelTrace is the level of slog that the engine's most detailed records have, below slog.LevelDebug.
const LevelTrace slog.Level = -8

// logLevels are the levels of slog, each with the engine's, which has those above it as well.
var logLevels = []struct {
	level slog.Level
	own   C.fanfare_log_level
}{
	{LevelTrace, C.FANFARE_LOG_TRACE},
	{slog.LevelDebug, C.FANFARE_LOG_DEBUG},
	{slog.LevelInfo, C.FANFARE_LOG_INFO},
	{slog.LevelWarn, C.FANFARE_LOG_WARN},
	{slog.LevelError, C.FANFARE_LOG_ERROR},
}

// logCapacity is how many records of a level wait until the loggers have taken those before; less in tests.
var logCapacity C.size_t = 1000

// engineLog gives the engine's records, which are the process's, to the loggers of its hubs.
type engineLog struct {
	mu      sync.Mutex
	current *logReader // nil while no hub has a logger
}

// logReader is one goroutine that reads records. Each level that a logger begins with is a source of its
// own at the bell, whose token it is, so that a hub which is made or closed takes no record from another
// one's logger.
type logReader struct {
	bell *bell
	// loggers have the number of hubs that have them, by the level that they begin with. One that no hub
	// has any more stays until it has got what was logged before: its number becomes leaving meanwhile.
	loggers map[C.fanfare_log_level]map[*slog.Logger]int
}

const leaving = -1

var theLog engineLog

// logged is a record of the engine.
type logged struct {
	token  C.fanfare_log_level
	record slog.Record
	lost   uint64
}

// leastLevel is the engine's level that has all that a logger takes, or FANFARE_LOG_OFF.
func leastLevel(logger *slog.Logger, from slog.Level) C.fanfare_log_level {
	for _, known := range logLevels {
		if known.level >= from && logger.Enabled(context.Background(), known.level) {
			return known.own
		}
	}
	return C.FANFARE_LOG_OFF
}

// logTo gives the engine's records to a logger, until the function that it returns is called.
func logTo(logger *slog.Logger, from slog.Level) (unlog func()) {
	level := leastLevel(logger, from)
	if level == C.FANFARE_LOG_OFF {
		return func() {}
	}
	reader, err := theLog.join(logger, level)
	if err != nil {
		logger.Warn("the engine's records are not logged", slog.Any("error", err))
		return func() {}
	}
	return func() { theLog.leave(reader, logger, level) }
}

// join gives the records to a logger, for one hub more, from a level on, until leave is called.
func (l *engineLog) join(logger *slog.Logger, level C.fanfare_log_level) (*logReader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reader := l.current
	if reader == nil {
		bell, err := newBell()
		if err != nil {
			return nil, err
		}
		reader = &logReader{bell, make(map[C.fanfare_log_level]map[*slog.Logger]int)}
	}
	if reader.loggers[level] == nil {
		err := reader.bell.use(func(notices *C.fanfare_notices) C.fanfare_status {
			return C.fanfare_log_watch(notices, C.uint64_t(level), level, logCapacity)
		})
		if err != nil {
			if l.current == nil {
				reader.bell.free()
			}
			return nil, err
		}
		reader.loggers[level] = make(map[*slog.Logger]int)
	}
	reader.loggers[level][logger] = max(reader.loggers[level][logger], 0) + 1
	if l.current == nil {
		l.current = reader
		go reader.run(&l.mu)
	}
	return reader, nil
}

// leave ends what join began. What was logged before is given to the logger still.
func (l *engineLog) leave(reader *logReader, logger *slog.Logger, level C.fanfare_log_level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reader.loggers[level][logger]--
	for _, loggers := range reader.loggers {
		for _, hubs := range loggers {
			if hubs > 0 {
				return
			}
		}
	}
	if l.current == reader {
		l.current = nil
	}
	reader.bell.ring()
}

// run gives records to the loggers until no hub has one. They may be slow, or make and close hubs: no lock
// is held meanwhile.
func (r *logReader) run(mu *sync.Mutex) {
	for isOpen := true; isOpen; {
		isOpen = r.bell.wait()
		r.mark(mu)
		for r.give(mu) == noticesAtOnce {
		}
		r.forget(mu)
	}
	r.bell.free()
}

func (r *logReader) give(mu *sync.Mutex) int {
	var taken []logged
	count := r.bell.drain(noticesAtOnce, func(notice *C.fanfare_notice) {
		if notice.kind == C.FANFARE_NOTICE_LOG && notice.log != nil {
			taken = append(taken, goLogged(notice))
		}
	})
	for _, one := range taken {
		mu.Lock()
		loggers := slices.Collect(maps.Keys(r.loggers[one.token]))
		mu.Unlock()
		for _, logger := range loggers {
			one.giveTo(logger)
		}
	}
	return count
}

// mark marks the loggers that no hub has any more.
func (r *logReader) mark(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	for _, loggers := range r.loggers {
		for logger, hubs := range loggers {
			if hubs == 0 {
				loggers[logger] = leaving
			}
		}
	}
}

// forget drops the loggers that were marked, and have got what was logged before.
func (r *logReader) forget(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	for level, loggers := range r.loggers {
		maps.DeleteFunc(loggers, func(_ *slog.Logger, hubs int) bool { return hubs == leaving })
		if len(loggers) == 0 {
			delete(r.loggers, level)
			r.bell.remove(uint64(level))
		}
	}
}

func goLogged(notice *C.fanfare_notice) logged {
	level := slog.LevelInfo
	for _, known := range logLevels {
		if known.own == notice.log.level {
			level = known.level
		}
	}
	record := slog.NewRecord(time.UnixMilli(int64(notice.at_unix_ms)), level, goText(notice.log.message), 0)
	record.AddAttrs(slog.String("target", goText(notice.log.target)))
	if notice.log.is_cut != 0 {
		record.AddAttrs(slog.Bool("cut", true))
	}
	return logged{C.fanfare_log_level(notice.token), record, uint64(notice.lost)}
}

func (l *logged) giveTo(logger *slog.Logger) {
	ctx := context.Background()
	if l.lost > 0 {
		logger.Warn("records of the engine were lost: they came faster than they were logged", slog.Uint64("lost", l.lost))
	}
	if logger.Enabled(ctx, l.record.Level) {
		_ = logger.Handler().Handle(ctx, l.record.Clone()) // as slog itself does
	}
}
