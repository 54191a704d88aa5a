package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// iptables is the kernel, through the iptables programs of the host: they speak to either of its two rule engines, so
// that our rules are where the host's other rules are.
type iptables struct{}

func (iptables) save(ctx context.Context) (string, error) {
	return run(ctx, "", "iptables-save")
}

func (iptables) restore(ctx context.Context, script string) error {
	_, err := run(ctx, script, "iptables-restore", "--wait", "5", "--noflush")
	return err
}

func (iptables) intact(ctx context.Context) bool {
	_, err := run(ctx, "", "iptables", "--wait", "5", "-t", canary.table, "-n", "-L", canary.name)
	return err == nil
}

// run returns the standard output of a program; its error carries what it said, and the input line it complained of.
func run(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, find(name), args...)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is not installed: install the iptables package", name)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", name, err, strings.TrimSpace(said.String()), complaint(input, said.String()))
	}
	return out.String(), nil
}

// find looks for a program also where PATH may not: that of Debian's su has no sbin directories.
func find(name string) string {
	for _, candidate := range []string{name, "/usr/local/sbin/" + name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return name
}

// complaint finds the line that iptables-restore failed at, which it names by number only.
func complaint(input, said string) string {
	_, rest, found := strings.Cut(said, "line")
	if !found {
		return ""
	}
	digits := strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	lines := strings.Split(input, "\n")
	if len(digits) == 0 {
		return ""
	}
	if n, err := strconv.Atoi(digits[0]); err == nil && n > 0 && n <= len(lines) {
		return fmt.Sprintf(" (%q)", lines[n-1])
	}
	return ""
}

// forgetUDP deletes the connection tracking entries of flows. UDP has no end that the kernel could see: a client that
// keeps sending from the same port would be sent to the endpoint that is gone, for as long as it sends.
func (iptables) forgetUDP(flows []udpFlow) error {
	for _, f := range flows {
		filter := &netlink.ConntrackFilter{}
		err := filter.AddProtocol(unix.IPPROTO_UDP)
		if number, isNodePort := strings.CutPrefix(f.service, ":"); isNodePort {
			n, _ := strconv.ParseUint(number, 10, 16)
			err = errors.Join(err, filter.AddPort(netlink.ConntrackOrigDstPort, uint16(n)))
		} else {
			err = errors.Join(err, filter.AddIP(netlink.ConntrackOrigDstIP, net.ParseIP(f.service)))
		}
		err = errors.Join(err, filter.AddIP(netlink.ConntrackReplySrcIP, net.ParseIP(f.endpoint)))
		if err != nil {
			return fmt.Errorf("describe the flow %s to %s: %w", f.service, f.endpoint, err)
		}
		if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil {
			return fmt.Errorf("delete the flow %s to %s: %w", f.service, f.endpoint, err)
		}
	}
	return nil
}
