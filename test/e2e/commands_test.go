package e2e

import (
	"bufio"
	"encoding/base64"
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

	"k8s.io/client-go/util/cert"
)

// commands are what lesson scripts can call besides testscript's own. Each is this test binary under another name.
var commands = map[string]func(){
	"kubectl":       kubectlCommand,
	"bonsai":        bonsaiCommand,
	"spread":        inside(spreadCommand),
	"refused":       inside(refusedCommand),
	"firstlines":    firstLinesCommand,
	"killcontainer": killContainerCommand,
	"certify":       certifyCommand,
	"fill":          fillCommand,
	"eventually":    eventuallyCommand,
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

// certifyCommand: certify HOST makes tls.crt and tls.key for a server of that name, and prints by which authority, in base64.
func certifyCommand() {
	certificate, key, err := cert.GenerateSelfSignedCertKey(os.Args[1], nil, nil)
	for name, data := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		err = errors.Join(err, os.WriteFile(name, data, 0o600))
	}
	if err != nil {
		fail("%v", err)
	}
	fmt.Println(base64.StdEncoding.EncodeToString(certificate))
}

// fillCommand: fill FILE puts the environment's values in the place of $NAMEs.
func fillCommand() {
	data, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[1], []byte(os.ExpandEnv(string(data))), 0o600)
	}
	if err != nil {
		fail("%v", err)
	}
}

// eventuallyCommand: eventually stdout|stderr TEXT PROGRAM ARGS… calls the program until it prints the text there, with success or without:
// some things take effect a moment after they were made.
func eventuallyCommand() {
	var out, errs strings.Builder
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out.Reset()
		errs.Reset()
		cmd := exec.Command(os.Args[3], os.Args[4:]...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		if said := map[string]string{"stdout": out.String(), "stderr": errs.String()}[os.Args[1]]; strings.Contains(said, os.Args[2]) {
			return
		}
	}
	fail("%s never said %q; the last was:\n%s%s", os.Args[3], os.Args[2], out.String(), errs.String())
}
