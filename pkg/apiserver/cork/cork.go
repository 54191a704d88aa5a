// Package cork lets what is written to a connection in one go enter the kernel in one go.
//
// # The problem
//
// What an API server sends most of is lists and watches: streams of megabytes. net/http hands them to TLS in frames of 16 KiB, through a
// buffer of 4 KiB, so that each frame becomes two records, of 4 and of 12 KiB, and each record one write to the
// kernel. Of the time that a change takes to reach a hundred watchers, half are these writes: for each the kernel makes a packet, sends it
// and wakes who reads it.
//
// Sizes and buffers are net/http's own, and nothing above the connection knows where a burst ends: frames are written by
// goroutines that come and go, one per frame.
//
// # What is done
//
// A write that is longer than net/http's buffer is a part of something longer, as what is short enough waits in that buffer until
// it is whole. Such a part is held, and a goroutine is started to write it. Go runs that one when the writer stops to wait or ends,
// so whatever is written until then goes with it: the scheduler is the cork, and there is no time to choose. Short writes with nothing
// held before them, which most answers are, go straight through.
//
// # Guarantees
//
//   - The bytes are the same and in the same order.
//   - A connection holds at most Most bytes and the last write, those included that the kernel is being given; one with nothing to say holds none.
//     A writer waits when there is more, so who reads slowly is noticed as before.
//   - An error of the kernel is told to the next write, as one of the network is that comes later than the write that it belongs to.
//   - What has been written before the deadline for writing is set to now, as TLS does when it says good-bye, is given to the kernel first
//     if there was a deadline before, and until then. Close drops what is held, as it interrupts a write.
package cork

import (
	"net"
	"sync"
	"time"
)

const (
	// longer is the size of net/http's buffers: a write beyond it is a part.
	longer = 4 << 10
	// Most is how much one connection holds, in bytes.
	Most = 64 << 10
)

// Listen makes the connections that l accepts corked.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

// conn is a connection with, at times, a goroutine that writes what is held.
type conn struct {
	net.Conn

	mu       sync.Mutex
	changed  sync.Cond // held, writing or err
	held     *[]byte   // what the goroutine has not begun to write; nil for nothing
	writing  int       // bytes that the kernel is being given
	running  bool      // there is a goroutine
	err      error     // of a write that has returned already
	deadline time.Time // for writes
}

func newConn(c net.Conn) *conn {
	k := &conn{Conn: c}
	k.changed.L = &k.mu
	return k
}

// room is for what a connection may hold, and the record that came last.
var room = sync.Pool{New: func() any {
	b := make([]byte, 0, Most+(17<<10))
	return &b
}}

// Write is called by one goroutine at a time, as TLS writes its records.
func (c *conn) Write(b []byte) (int, error) {
	if len(b) <= longer && c.idle() {
		return c.Conn.Write(b)
	}
	return c.hold(b)
}

// idle tells whether nothing is on its way.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.running && c.err == nil
}

// hold leaves b to the goroutine, once there is room.
func (c *conn) hold(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.pending() >= Most {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.held == nil {
		c.held = room.Get().(*[]byte)
	}
	*c.held = append(*c.held, b...)
	if !c.running {
		c.running = true
		go c.run()
	}
	return len(b), nil
}

// pending is how many bytes are on their way. Its callers hold mu.
func (c *conn) pending() int {
	if c.held == nil {
		return c.writing
	}
	return c.writing + len(*c.held)
}

// run gives the kernel what is held until there is nothing more.
func (c *conn) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.held != nil && c.err == nil {
		out := c.held
		c.held, c.writing = nil, len(*out)
		c.mu.Unlock()
		_, err := c.Conn.Write(*out)
		*out = (*out)[:0]
		room.Put(out)
		c.mu.Lock()
		c.writing, c.err = 0, err
		c.changed.Broadcast()
	}
	c.running = false
	c.changed.Broadcast()
}

func (c *conn) SetDeadline(t time.Time) error {
	c.settle(t)
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.settle(t)
	return c.Conn.SetWriteDeadline(t)
}

// settle lets what is held go before a deadline that would stop it at once, if an earlier one bounds the wait.
func (c *conn) settle(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := !t.IsZero() && !t.After(time.Now())
	for over && c.running && !c.deadline.IsZero() {
		c.changed.Wait()
	}
	c.deadline = t
}
