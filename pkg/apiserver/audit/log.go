package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// LogFile says where the log is and how it is rotated: at a hundred megabytes if nothing else is said, and nothing is deleted then.
type LogFile struct {
	Path string // "-" is the standard output
	// MaxSize is in megabytes, MaxAge in days.
	MaxSize, MaxAge, MaxBackups int
	Compress                    bool
}

// Log writes events as lines of JSON.
type Log struct {
	out io.Writer
	log *slog.Logger

	mu  sync.Mutex
	buf bytes.Buffer
}

// NewLog returns the log at f.
func NewLog(f LogFile, stdout io.Writer, log *slog.Logger) *Log {
	if f.Path == "-" {
		return &Log{out: stdout, log: log}
	}
	return &Log{log: log, out: &lumberjack.Logger{
		Filename: f.Path, MaxSize: f.MaxSize, MaxAge: f.MaxAge, MaxBackups: f.MaxBackups, Compress: f.Compress}}
}

// Write implements Sink. A line is written at once, so that lines of several requests do not mix.
func (l *Log) Write(e *auditv1.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
	err := json.NewEncoder(&l.buf).Encode(e)
	if err == nil {
		_, err = l.out.Write(l.buf.Bytes())
	}
	if err != nil {
		l.log.Error("an audit event could not be written", "auditID", e.AuditID, "stage", e.Stage, "error", err)
	}
	if l.buf.Cap() > 1<<20 {
		l.buf = bytes.Buffer{} // a huge list is not to be paid for ever after
	}
}
