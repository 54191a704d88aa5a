package machine

import (
	"fmt"
	"os"
	"strings"
)

// Finding is one thing that a node needs from the machine, and whether it has it.
type Finding struct {
	Name string
	// Problem is empty if all is well. Fix says what to do about it.
	Problem, Fix string
	// Fatal problems keep a node from working; others are worth knowing.
	Fatal bool
}

// Checks looks whether this machine can be a node. It changes nothing.
func Checks() []Finding {
	return []Finding{
		checkRoot(os.Geteuid()),
		checkProgram("iptables", "apt-get install iptables"),
		checkProgram("iptables-restore", "apt-get install iptables"),
		checkFilesystem(readFile("/proc/filesystems")),
		checkBridgeFilter(),
		checkCgroups(parseMounts([]byte(readFile("/proc/self/mountinfo")))),
		checkCapability(),
	}
}

// Check returns an error if this machine cannot be a node, which says what to do.
func Check() error { return firstFatal(Checks()) }

func firstFatal(checks []Finding) error {
	for _, c := range checks {
		if c.Fatal && c.Problem != "" {
			return fmt.Errorf("%s: %s; %s", c.Name, c.Problem, c.Fix)
		}
	}
	return nil
}

func checkRoot(uid int) Finding {
	c := Finding{Name: "root", Fix: "run it with sudo", Fatal: true}
	if uid != 0 {
		c.Problem = "containers, mounts and network interfaces can be made by root only"
	}
	return c
}

func checkProgram(name, fix string) Finding {
	c := Finding{Name: name, Fix: fix, Fatal: true}
	if _, err := lookPath(name); err != nil {
		c.Problem = "the program is not installed"
	}
	return c
}

// checkFilesystem is about speed and space only: without overlay mounts each container gets a copy of its image.
func checkFilesystem(known string) Finding {
	c := Finding{Name: "overlay", Fix: "modprobe overlay"}
	if !strings.Contains(known, "\toverlay\n") {
		c.Problem = "the kernel does not have overlay mounts loaded; if it has none at all, each container gets a copy of its image"
	}
	return c
}

func checkBridgeFilter() Finding {
	c := Finding{Name: "br_netfilter", Fix: "modprobe br_netfilter"}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		c.Problem = "packets between pods of this node do not pass the rules of Services; it is loaded at start where the kernel has it"
	}
	return c
}

func checkCgroups(mounts []mount) Finding {
	c := Finding{Name: "cgroups", Fix: "mount them: mount -t cgroup2 none /sys/fs/cgroup", Fatal: true}
	v1 := false
	for _, m := range mounts {
		switch m.fstype {
		case "cgroup2":
			if m.point == "/sys/fs/cgroup" {
				return c
			}
		case "cgroup":
			v1 = true
		}
	}
	if v1 {
		return Finding{Name: c.Name, Problem: "this machine has cgroup v1, where Kubernetes supports fewer features",
			Fix: "boot with systemd.unified_cgroup_hierarchy=1"}
	}
	c.Problem = "no cgroup hierarchy is mounted, so containers cannot be limited"
	return c
}

func checkCapability() Finding {
	c := Finding{Name: "CAP_SYS_RESOURCE", Fix: "nothing to do, or give this container the capability"}
	if !hasCapability(capSysResource) {
		c.Problem = "the kernel does not let this process lower OOM scores, so pods keep this process's"
	}
	return c
}

func readFile(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}
