package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// LogFile says where the log is and how it is rotated.
type LogFile struct {
	Path string // "-" is the standard output
	// MaxSize is in megabytes, MaxAge in days.
	MaxSize, MaxAge, MaxBackups int
	Compress                    bool
}

// Log writes events as lines of JSON.
type Log struct {
	out io.Writer

	mu  sync.Mutex
	buf bytes.Buffer
}

// NewLog returns the log at f.
func NewLog(f LogFile, stdout io.Writer) *Log {
	if f.Path == "-" {
		return &Log{out: stdout}
	}
	return &Log{out: &lumberjack.Logger{
		Filename: f.Path, MaxSize: f.MaxSize, MaxAge: f.MaxAge, MaxBackups: f.MaxBackups, Compress: f.Compress}}
}

// Process implements Backend. A line is written at once, so that lines of several requests do not mix.
func (l *Log) Process(_ context.Context, events []*auditv1.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failed error
	for _, e := range events {
		l.buf.Reset()
		err := json.NewEncoder(&l.buf).Encode(e)
		if err == nil {
			_, err = l.out.Write(l.buf.Bytes())
		}
		failed = errors.Join(failed, err)
	}
	if l.buf.Cap() > 1<<20 {
		l.buf = bytes.Buffer{} // a huge list is not to be paid for ever after
	}
	return failed
}
