package cork

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// What is read is what was written, whatever the sizes of the writes.
func TestBytesKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, longer), rapid.IntRange(longer+1, 3*Most)), 1, 20).Draw(t, "sizes")
		near, far := net.Pipe()
		c := newConn(near)
		var want []byte
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(far)
			got <- b
		}()
		for i, n := range sizes {
			b := bytes.Repeat([]byte{byte('a' + i)}, n)
			want = append(want, b...)
			if m, err := c.Write(b); m != n || err != nil {
				t.Fatalf("a write of %d bytes: %d, %v", n, m, err)
			}
		}
		c.drained()
		c.Close()
		if b := <-got; !bytes.Equal(b, want) {
			t.Fatalf("%d bytes were written, and %d others read", len(want), len(b))
		}
	})
}

// drained returns when nothing is on its way.
func (c *conn) drained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.running {
		c.changed.Wait()
	}
}

// What is there when the goroutine gets its turn enters the kernel in one write.
func TestPartsGoTogether(t *testing.T) {
	k := &kernel{open: make(chan struct{})}
	close(k.open)
	c := newConn(k)
	c.running = true // it is to have its turn below
	for range 4 {
		if _, err := c.Write(make([]byte, longer+1)); err != nil {
			t.Error(err)
		}
	}
	c.run()
	if len(k.sizes) != 1 || k.sizes[0] != 4*(longer+1) {
		t.Errorf("the kernel was given %v", k.sizes)
	}
}

// kernel takes a write when it is open.
type kernel struct {
	net.Conn
	open  chan struct{}
	sizes []int
	err   error
}

func (k *kernel) Write(b []byte) (int, error) {
	<-k.open
	k.sizes = append(k.sizes, len(b))
	return len(b), k.err
}

// A connection that nobody reads from makes its writer wait, and does not hold more and more.
func TestWhoReadsNothingIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{open: make(chan struct{})}
		c := newConn(k)
		wrote := 0
		var writer sync.WaitGroup
		writer.Go(func() {
			for range 20 {
				if _, err := c.Write(make([]byte, 16<<10)); err != nil {
					t.Error(err)
				}
				wrote++
			}
		})
		synctest.Wait()
		if held := wrote * 16 << 10; held > Most+16<<10 {
			t.Errorf("%d bytes are held", held)
		}
		close(k.open)
		writer.Wait()
		c.drained()
		sum := 0
		for _, n := range k.sizes {
			sum += n
		}
		if sum != 20*16<<10 {
			t.Errorf("the kernel was given %d bytes", sum)
		}
		if c.held != nil || c.writing != 0 {
			t.Error("a connection with nothing to say holds memory")
		}
	})
}

func TestAnErrorIsToldToTheNextWrite(t *testing.T) {
	k := &kernel{open: make(chan struct{}), err: errors.New("the cable is cut")}
	close(k.open)
	c := newConn(k)
	if _, err := c.Write(make([]byte, 2*longer)); err != nil {
		t.Fatalf("a part that is held: %v", err)
	}
	c.drained()
	for _, n := range []int{1, 2 * longer} {
		if _, err := c.Write(make([]byte, n)); !errors.Is(err, k.err) {
			t.Errorf("%d bytes after an error: %v", n, err)
		}
	}
}

// The end of an answer is not cut off by the good-bye of TLS behind it.
func TestGoodByeComesLast(t *testing.T) {
	const size = 300 << 10
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = w.Write(make([]byte, size))
	}))
	srv.Listener = Listen(srv.Listener)
	srv.StartTLS()
	defer srv.Close()
	for range 20 {
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != size || err != nil {
			t.Fatalf("%d bytes came, %v", n, err)
		}
	}
}

// Who reads nothing holds up the good-bye for as long as TLS allows, and an interruption not at all.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := newConn(near)
		fill := func() {
			if _, err := c.Write(make([]byte, 2*longer)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		fill()
		start := time.Now()
		deadline(t, c, start.Add(5*time.Second))
		deadline(t, c, start)
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("the good-bye took %v", waited)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write after that: %v", err)
		}

		near, other := net.Pipe()
		defer other.Close()
		c = newConn(near)
		fill()
		start = time.Now()
		deadline(t, c, start)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the interruption took %v", waited)
		}
		c.drained()
	})
}

func deadline(t *testing.T, c net.Conn, at time.Time) {
	t.Helper()
	if err := c.SetWriteDeadline(at); err != nil {
		t.Fatal(err)
	}
}

// TLS itself, closing while the last records are held.
func TestCloseOfTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS() // for its certificate
	defer srv.Close()
	for range 50 {
		near, far := net.Pipe()
		server, client := tls.Server(newConn(near), srv.TLS), tls.Client(far, &tls.Config{InsecureSkipVerify: true})
		go func() {
			_, _ = server.Write(make([]byte, 200<<10))
			server.Close()
		}()
		if n, err := io.Copy(io.Discard, client); n != 200<<10 || err != nil {
			t.Fatalf("%d bytes came, %v", n, err)
		}
	}
}
