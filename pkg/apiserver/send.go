package apiserver

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Answers are often many small kept byte slices. Handing each to the HTTP/2 connection by itself costs a hand-over
// between goroutines each time, so they pass through a large buffer first.
const (
	sendBuffer = 64 << 10
	// gzipFrom is the size from which compressing pays; below it the client waits longer for less.
	gzipFrom = 128 << 10
)

var (
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, sendBuffer) }}
	zippers = sync.Pool{New: func() any {
		z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is a valid constant
		}
		return z
	}}
)

// sendPieces writes an answer that consists of pieces, compressed if it is large and the client can read that.
func (s *Server) sendPieces(c *call, code int, contentType string, pieces [][]byte) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	zip := size > gzipFrom && acceptsGzip(c.r)
	if zip {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
	} else {
		h.Set("Content-Length", strconv.Itoa(size))
	}
	defer s.track(c, &c.took.write)()
	c.w.WriteHeader(code)
	if noBody(c.r) {
		return
	}
	var err error
	if zip {
		err = writeZipped(c.w, pieces)
	} else {
		err = writePieces(c.w, pieces)
	}
	if err != nil {
		s.log.Debug("client went away", "auditID", c.auditID, "error", err)
	}
}

func writePieces(w io.Writer, pieces [][]byte) error {
	if len(pieces) == 1 {
		_, err := w.Write(pieces[0])
		return err
	}
	b := writers.Get().(*bufio.Writer)
	defer writers.Put(b)
	b.Reset(w)
	defer b.Reset(nil)
	for _, p := range pieces {
		if _, err := b.Write(p); err != nil {
			return err
		}
	}
	return b.Flush()
}

func writeZipped(w io.Writer, pieces [][]byte) error {
	b := writers.Get().(*bufio.Writer)
	defer writers.Put(b)
	b.Reset(w)
	defer b.Reset(nil)
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(b)
	for _, p := range pieces {
		if _, err := z.Write(p); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return b.Flush()
}

func acceptsGzip(r *http.Request) bool {
	for clause := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if name, _, _ := strings.Cut(clause, ";"); strings.TrimSpace(name) == "gzip" {
			return true
		}
	}
	return false
}
