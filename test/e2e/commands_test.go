package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// commands are what lesson scripts can call besides testscript's own. Each is this test binary under another name.
var commands = map[string]func(){
	"kubectl":       kubectlCommand,
	"bonsai":        bonsaiCommand,
	"spread":        inside(spreadCommand),
	"refused":       inside(refusedCommand),
	"firstlines":    firstLinesCommand,
	"killcontainer": killContainerCommand,
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// enter replaces this process with another inside the cluster's network namespace.
func enter(program string, args ...string) {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		fail("%v", err)
	}
	argv := append([]string{"nsenter", "--net=" + os.Getenv("NETNS"), program}, args...)
	fail("exec nsenter: %v", syscall.Exec(nsenter, argv, os.Environ()))
}

// inside runs f in the cluster's network namespace.
func inside(f func()) func() {
	const mark = "BONSAI_TEST_INSIDE"
	return func() {
		if os.Getenv(mark) == "" {
			os.Setenv(mark, "1")
			self, err := exec.LookPath(os.Args[0])
			if err != nil {
				fail("%v", err)
			}
			enter(self, os.Args[1:]...)
		}
		f()
	}
}

// kubectlCommand is kubectl as the user has it: the one that the cluster brings.
func kubectlCommand() {
	enter(os.Getenv("BONSAI"), append([]string{"kubectl"}, os.Args[1:]...)...)
}

// bonsaiCommand is the program under test.
func bonsaiCommand() { enter(os.Getenv("BONSAI"), os.Args[1:]...) }

// spreadCommand: spread URL N asks URL until N different pods have answered. Rules that are being written refuse or lose
// connections, so that is not a failure; not getting there in time is.
func spreadCommand() {
	url := os.Args[1]
	want, _ := strconv.Atoi(os.Args[2])
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	seen := map[string]int{}
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && len(seen) < want; {
		pod, err := whoAnswers(client, url)
		if err != nil {
			last = err
			continue
		}
		seen[pod]++
	}
	fmt.Println(seen)
	if len(seen) < want {
		fail("%d pods answered, want %d; last error: %v", len(seen), want, last)
	}
}

// refusedCommand: refused ADDRESS connects until it is refused: rules follow the endpoints a moment later.
func refusedCommand() {
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp", os.Args[1], 2*time.Second)
		if err == nil {
			conn.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		last = err
	}
	fail("connecting to %s was never refused; last error: %v", os.Args[1], last)
}

func whoAnswers(client *http.Client, url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %w", res.Status, err)
	}
	for line := range strings.Lines(string(body)) {
		if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(f[0], "pod") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("no pod named in %q", body)
}

// firstLinesCommand: firstlines N PROGRAM ARGS… prints the first N lines of a program that would go on for ever, and ends it.
func firstLinesCommand() {
	n, _ := strconv.Atoi(os.Args[1])
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fail("%v", err)
	}
	timer := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	got := 0
	for got < n && lines.Scan() {
		fmt.Println(lines.Text())
		got++
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if got < n {
		fail("%d lines, want %d", got, n)
	}
}

// killContainerCommand: killcontainer POD kills the processes of a pod's first container from the outside, as the kernel
// would when memory runs out.
func killContainerCommand() {
	out, err := exec.Command("kubectl", "get", "pod", os.Args[1], "-o", "jsonpath={.status.containerStatuses[0].containerID}").Output()
	if err != nil {
		fail("find the container: %v", err)
	}
	_, id, ok := strings.Cut(string(out), "://")
	if !ok {
		fail("container id %q", out)
	}
	killed := 0
	procs, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, f := range procs {
		if data, err := os.ReadFile(f); err == nil && strings.Contains(string(data), id) {
			pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		fail("no process in container %s", id)
	}
}
