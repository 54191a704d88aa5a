package machine

import (
	"fmt"
	"slices"
	"strconv"
)

// Action undoes one thing. Value is what the undoing needs besides the name: when a process was started, the
// old value of a sysctl, the rules for iptables-restore.
type Action struct {
	Kind   Kind
	Name   string
	Value  string
	Reason string
}

// String is a line for people.
func (a Action) String() string { return undoWords[a.Kind] + " " + a.Name + ": " + a.Reason }

var undoWords = map[Kind]string{
	KindProcess: "kill process",
	KindMount:   "unmount",
	KindLink:    "delete interface",
	KindChains:  "remove rules of",
	KindCgroup:  "remove cgroup",
	KindSysctl:  "restore sysctl",
	KindPath:    "remove",
}

// summarize says in a few lines what a plan does: one line for each kind.
func summarize(plan []Action) []string {
	var lines []string
	for rest := plan; len(rest) > 0; {
		same := slices.IndexFunc(rest, func(a Action) bool { return a.Kind != rest[0].Kind })
		if same < 0 {
			same = len(rest)
		}
		line := rest[0].String()
		if same > 1 {
			line += fmt.Sprintf(" (and %d more)", same-1)
		}
		lines, rest = append(lines, line), rest[same:]
	}
	return lines
}

// Leftover is something of a cluster that is still on the machine.
type Leftover struct {
	Kind   Kind
	Name   string
	Reason string
}

// String is a line for people.
func (l Leftover) String() string { return string(l.Kind) + " " + l.Name + ": " + l.Reason }

// planCleanup says what undoes a state. The order is that of what holds what: processes hold mounts and
// cgroups, mounts hold the network namespaces in which the ports of the bridge end. What was made last goes
// first.
func planCleanup(s State) []Action {
	var plan []Action
	for _, p := range s.Processes {
		plan = append(plan, Action{KindProcess, strconv.Itoa(p.PID), p.Started, p.Name + ", " + p.Reason})
	}
	for _, m := range slices.Backward(s.Mounts) {
		plan = append(plan, Action{KindMount, m, "", "mounted below the cluster's directories"})
	}
	for _, l := range s.Links {
		plan = append(plan, Action{KindLink, l, "", "the pods' bridge or a port of it"})
	}
	for _, r := range s.Rules {
		plan = append(plan, Action{KindChains, r.variant, r.removal,
			fmt.Sprintf("%d chains of the cluster (%s, …) and %d jumps to them", len(r.chains), r.chains[0], r.jumps)})
	}
	for _, c := range slices.Backward(s.Cgroups) {
		plan = append(plan, Action{KindCgroup, c, "", "accounted for the cluster's pods"})
	}
	for _, e := range s.Sysctls {
		plan = append(plan, Action{KindSysctl, e.Name, e.Old, fmt.Sprintf("from %s to %s, as it was; %s", e.New, e.Old, e.Reason)})
	}
	for _, p := range s.Paths {
		plan = append(plan, Action{KindPath, p, "", "of use only while the cluster runs"})
	}
	return plan
}
