package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what processes take. Of pages that several processes map, rss counts each mapping, pss a share.
type usage struct {
	rss, pss, anonymous int64 // bytes
	cpu                 time.Duration
}

func (u usage) plus(o usage) usage {
	return usage{u.rss + o.rss, u.pss + o.pss, u.anonymous + o.anonymous, u.cpu + o.cpu}
}

// usageOf reads what a process takes, without its children.
func usageOf(pid int) (usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	rollup, err := os.ReadFile(dir + "smaps_rollup")
	if err != nil {
		return usage{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	u, err := parseRollup(bytes.NewReader(rollup))
	if err != nil {
		return usage{}, err
	}
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return usage{}, fmt.Errorf("read the time of process %d: %w", pid, err)
	}
	u.cpu, err = parseStat(string(stat))
	return u, err
}

// parseRollup reads /proc/PID/smaps_rollup.
func parseRollup(r io.Reader) (u usage, err error) {
	fields := map[string]*int64{"Rss": &u.rss, "Pss": &u.pss, "Anonymous": &u.anonymous}
	found := 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		to, ok := fields[name]
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return u, fmt.Errorf("smaps_rollup: %q is no size", lines.Text())
		}
		*to = kib << 10
		found++
	}
	if found != len(fields) {
		return u, fmt.Errorf("smaps_rollup has %d of the %d sizes that are looked for", found, len(fields))
	}
	return u, lines.Err()
}

// tick is the unit of times in /proc/PID/stat, on every Linux that Go runs on.
const tick = time.Second / 100

// parseStat returns the processor time in /proc/PID/stat: fields 14 and 15, counted behind the name, which may hold anything.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat: %q is too short", text)
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %q is no time", f)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// tree is a process, its children, and theirs.
func tree(pid int) []int {
	out := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, tree(child)...)
			}
		}
	}
	return out
}

// usagesOf is what each of some processes takes.
func usagesOf(pids ...int) (each []usage, err error) {
	for _, pid := range pids {
		u, err := usageOf(pid)
		if err != nil {
			return nil, err
		}
		each = append(each, u)
	}
	return each, nil
}

// usageOfAll sums what processes take.
func usageOfAll(pids []int) (sum usage, err error) {
	each, err := usagesOf(pids...)
	for _, u := range each {
		sum = sum.plus(u)
	}
	return sum, err
}
