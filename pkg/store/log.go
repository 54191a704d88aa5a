package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// slogCore is a zap core that hands etcd's errors, and only these, to slog. At lower levels etcd speaks of every
// slow disk write and of each step of its start.
type slogCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func (c slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.ErrorLevel }

func (c slogCore) With(f []zapcore.Field) zapcore.Core {
	c.fields = append(c.fields[:len(c.fields):len(c.fields)], f...)
	return c
}

func (c slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// harmless are errors of etcd's that are none: what a new etcd says once a second until it has written its first term
// to its database, and what its listeners say when they are closed.
var harmless = []string{
	"failed to update storage version",
	"setting up serving from embedded etcd failed.",
}

func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if slices.Contains(harmless, e.Message) {
		return nil
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	c.log.LogAttrs(context.Background(), slog.LevelError, "etcd: "+e.Message, attrs...)
	return nil
}

func (c slogCore) Sync() error { return nil }

// fatal is what happens when etcd logs at level fatal or panic: it cannot go on, typically because its log cannot be
// written to a full or broken disk. By default that ends the whole process, and everything else that runs in it. Instead only the goroutine ends, and the store says why it no longer works.
type fatal struct {
	once sync.Once
	died chan struct{}
	err  error
}

func (f *fatal) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	f.once.Do(func() {
		f.err = fmt.Errorf("store: etcd has stopped: %s: %w", e.Message, reason(fields))
		close(f.died)
	})
	runtime.Goexit()
}

func reason(fields []zapcore.Field) error {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			return err
		}
	}
	return errors.New("see its log")
}

// etcdLogger returns etcd's logger, a channel that is closed when etcd has given up, and then the reason.
func etcdLogger(log *slog.Logger) (*zap.Logger, <-chan struct{}, *error) {
	f := &fatal{died: make(chan struct{})}
	return zap.New(slogCore{log: log}, zap.WithFatalHook(f), zap.WithPanicHook(f)), f.died, &f.err
}

func outsideLogger(log *slog.Logger) *zap.Logger { return zap.New(slogCore{log: log}) }
