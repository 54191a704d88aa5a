package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// startPath is a watch that begins with everything there is, as a reflector that streams asks for it.
const startPath = podsPath + "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"

// initialEnd is the annotation of the bookmark that ends the initial events.
const initialEnd = `"k8s.io/initial-events-end":"true"`

// watchStart measures how long a watch takes to send the pods there are, up to the bookmark that says these were all.
func (l *listing) watchStart(ctx context.Context) (Result, error) {
	events := l.n + 1 // and the bookmark
	var answer []byte
	if _, err := l.started(ctx, func(r io.Reader) (err error) {
		answer, err = firstLines(r, events)
		return err
	}); err != nil {
		return Result{}, err
	}
	if err := endsInitially(answer); err != nil {
		return Result{}, err
	}
	return l.compared(ctx, "watch start", "JSON", jsonType, func(ctx context.Context) (float64, error) {
		return l.started(ctx, func(r io.Reader) error { return countLines(r, events) })
	}, answer)
}

// endsInitially is an error unless the last line of a watch says that the initial events were all sent.
func endsInitially(lines []byte) error {
	lines = bytes.TrimSuffix(lines, []byte("\n"))
	if !bytes.Contains(lines[bytes.LastIndexByte(lines, '\n')+1:], []byte(initialEnd)) {
		return errors.New("a watch sent as many events as there are objects, and then no bookmark that these were all")
	}
	return nil
}

// started opens the watch and returns how many milliseconds passed until read had read it.
func (l *listing) started(ctx context.Context, read func(io.Reader) error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	resp, err := l.api.send(ctx, l.api.http, http.MethodGet, startPath, jsonType, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	err = read(resp.Body)
	return milliseconds(time.Since(start)), err
}
