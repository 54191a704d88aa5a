package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// rested is after how long a process that has nothing to do has come to rest.
const rested = 10 * time.Second

// memory measures what the API server's process grows by for each running pod. Its limit is the pod itself, as it is stored. etcd runs in
// a process of its own for this row: what it takes is its own, and told beside. No garbage collection is forced: what counts is what the
// machine has to have for as long as the pods run, and beside that is told what it had to have while they were made.
func memory(ctx context.Context, b *bench) (results []Result, err error) {
	etcd, address, err := b.startEtcd("memory-etcd")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, etcd.stop()) }()
	api, err := b.startAPIServer(ctx, "memory-api", "--etcd-servers="+address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.stop()) }()
	if err := b.run(ctx, api, "warm", 200); err != nil { // what the first pods cost is not for each
		return nil, err
	}
	if err := pause(ctx, rested); err != nil {
		return nil, err
	}
	before, err := usagesOf(api.pid(), etcd.pid())
	if err != nil {
		return nil, err
	}
	n := b.scaled(50000, 2000)
	if err := b.run(ctx, api, "p", n); err != nil {
		return nil, err
	}
	busy, err := usageOf(api.pid())
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, rested); err != nil {
		return nil, err
	}
	after, err := usagesOf(api.pid(), etcd.pid())
	if err != nil {
		return nil, err
	}
	return b.grown(ctx, api, n, before, after, busy)
}

// grown tells by how much the API server, the first of the two, and etcd grew for n pods. busy is what the API server took at work.
func (b *bench) grown(ctx context.Context, api *server, n int, before, after []usage, busy usage) ([]Result, error) {
	stored, err := api.get(ctx, podsPath+"?limit=100", protobufType)
	if err != nil {
		return nil, err
	}
	text, err := api.get(ctx, "/debug/pprof/heap?debug=1", "")
	if err != nil {
		return nil, err
	}
	heap, err := parseHeap(text)
	if err != nil {
		return nil, err
	}
	if err := b.heapProfile(ctx, api, "memory"); err != nil {
		return nil, err
	}
	kib := func(bytes int64) Quantity { return Quantity{float64(bytes) / 1024, "KiB"} }
	each := func(i int) Quantity { return kib((after[i].rss - before[i].rss) / int64(n)) }
	return []Result{Result{Row: fmt.Sprintf("memory/pod at %s", grouped(int64(n))), Figure: each(0)}.
		against(kib(int64(len(stored)/100)), "stored", 0).aiming(Aim{OfFigure: true, AtMost: 8}).
		detailed("RSS %s MiB (%s at work), of it %s anonymous; heap in use %s MiB, live or not yet collected %s MiB; etcd apart, %s each",
			digits(mebibytes(after[0].rss)), digits(mebibytes(busy.rss)), digits(mebibytes(after[0].anonymous)), digits(mebibytes(heap.inUse)),
			digits(mebibytes(heap.allocated)), each(1))}, nil
}

// run makes n pods and lets a kubelet's status say that they run. It is written as an update, which is sooner done than a patch; what is
// stored is the same.
func (b *bench) run(ctx context.Context, api *server, series string, n int) error {
	const step = 2000
	for from := 0; from < n; from += step {
		b.progress("running pods: %s of %s", grouped(int64(from)), grouped(int64(n)))
		_, err := drive(ctx, fillers, pieces(min(step, n-from)), func(ctx context.Context, i int) error {
			if _, err := api.size(ctx, http.MethodPost, podsPath, jsonType, plainPod(series, from+i)); err != nil {
				return err
			}
			_, err := api.size(ctx, http.MethodPut, podsPath+"/"+podName(series, from+i)+"/status", jsonType, runningPod(series, from+i))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pause lets d pass.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heap is what the Go runtime says of its heap.
type heap struct{ allocated, inUse int64 }

// parseHeap reads the runtime's figures at the end of /debug/pprof/heap?debug=1.
func parseHeap(text []byte) (h heap, err error) {
	fields := map[string]*int64{"# HeapAlloc": &h.allocated, "# HeapInuse": &h.inUse}
	found := 0
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " = ")
		if to, ok := fields[name]; ok {
			if *to, err = strconv.ParseInt(value, 10, 64); err != nil {
				return h, fmt.Errorf("heap profile: %q is no size", lines.Text())
			}
			found++
		}
	}
	if found != len(fields) {
		return h, errors.New("heap profile: it does not say how large the heap is")
	}
	return h, lines.Err()
}
