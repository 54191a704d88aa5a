package proxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// change is the service's part as applied and as it should be; either may be empty.
type change struct{ old, next part }

// script builds the input of iptables-restore --noflush. Within a table the order is: declare (and so empty) every chain that is
// written anew, delete and add lines of shared chains, fill, and last remove chains, which nothing refers to any more.
type script struct {
	tables map[string]*tableScript
}

type tableScript struct {
	declare, del, add, fill, drop []string
}

func (s *script) table(name string) *tableScript {
	if s.tables == nil {
		s.tables = map[string]*tableScript{}
	}
	t := s.tables[name]
	if t == nil {
		t = &tableScript{}
		s.tables[name] = t
	}
	return t
}

// write sets chain c to exactly rules.
func (s *script) write(c chain, rules []string) {
	t := s.table(c.table)
	t.declare = append(t.declare, ":"+c.name+" - [0:0]")
	for _, r := range rules {
		t.fill = append(t.fill, "-A "+c.name+" "+r)
	}
}

// remove deletes chain c, which must exist.
func (s *script) remove(c chain) {
	t := s.table(c.table)
	t.declare = append(t.declare, ":"+c.name+" - [0:0]")
	t.drop = append(t.drop, "-X "+c.name)
}

// apply adds what brings the kernel from ch.old to ch.next.
func (s *script) apply(ch change) {
	for _, c := range sortedChains(ch.next.own) {
		if old, ok := ch.old.own[c]; !ok || !slices.Equal(old, ch.next.own[c]) {
			s.write(c, ch.next.own[c])
		}
	}
	for _, c := range sortedChains(ch.old.own) {
		if _, ok := ch.next.own[c]; !ok {
			s.remove(c)
		}
	}
	for _, c := range sharedSets {
		for _, l := range minus(ch.old.lines[c], ch.next.lines[c]) {
			s.table(c.table).del = append(s.table(c.table).del, "-D "+c.name+" "+l)
		}
		for _, l := range minus(ch.next.lines[c], ch.old.lines[c]) {
			s.table(c.table).add = append(s.table(c.table).add, "-A "+c.name+" "+l)
		}
	}
}

// minus returns a without what is in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(l string) bool { return slices.Contains(b, l) })
}

func sortedChains(m map[chain][]string) []chain {
	return slices.SortedFunc(maps.Keys(m), func(a, b chain) int { return strings.Compare(a.table+a.name, b.table+b.name) })
}

// text is the whole input; empty if nothing is to be done.
func (s *script) text() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		t := s.tables[name]
		lines := slices.Concat(t.declare, t.del, t.add, t.fill, t.drop)
		if len(lines) > 0 {
			fmt.Fprintf(&b, "*%s\n%s\nCOMMIT\n", name, strings.Join(lines, "\n"))
		}
	}
	return b.String()
}

// jump is a rule of a chain that is not ours, which leads into one that is.
type jump struct {
	from chain
	rule string
}

// jumps, in the order in which they must stand at the head of their chains.
func jumps() []jump {
	nat := func(c string) chain { return chain{"nat", c} }
	filter := func(c string) chain { return chain{"filter", c} }
	services := `-m comment --comment "kubernetes service portals" -j KUBE-SERVICES`
	nodePorts := `-m addrtype --dst-type LOCAL -m comment --comment "kubernetes service nodeports" -j KUBE-NODEPORTS`
	refused := `-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`
	outside := `-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES`
	return []jump{
		{nat("PREROUTING"), services}, {nat("PREROUTING"), nodePorts},
		{nat("OUTPUT"), services}, {nat("OUTPUT"), nodePorts},
		{nat("POSTROUTING"), `-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`},
		{filter("INPUT"), outside},
		{filter("FORWARD"), `-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD`},
		{filter("FORWARD"), refused}, {filter("FORWARD"), outside},
		{filter("OUTPUT"), refused},
	}
}

// fixed are the chains that are the same in every cluster.
func fixed() map[chain][]string {
	return map[chain][]string{
		natMark: {"-j MARK --or-mark " + mark},
		natPostrouting: {
			"-m mark ! --mark " + mark + "/" + mark + " -j RETURN",
			// Cleared, so that a packet that goes through here again (a tunnel) is not masqueraded again.
			"-j MARK --xor-mark " + mark,
			`-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
		},
		filterForward: {
			"-m conntrack --ctstate INVALID -j DROP",
			`-m comment --comment "kubernetes forwarding rules" -m mark --mark ` + mark + "/" + mark + " -j ACCEPT",
			`-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
		},
		canary: nil,
	}
}

// everything is the script that makes the kernel's state, whatever it is, into exactly that of parts. existing is what
// iptables-save printed of the tables.
func everything(parts map[string]part, existing string) string {
	s := &script{}
	desired := map[chain][]string{}
	maps.Copy(desired, fixed())
	for _, c := range sharedSets {
		desired[c] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		maps.Copy(desired, parts[name].own)
		for c, lines := range parts[name].lines {
			desired[c] = append(desired[c], lines...)
		}
	}
	for _, c := range sortedChains(desired) {
		s.write(c, desired[c])
	}
	now := parseSave(existing)
	for _, c := range now.chains {
		if _, ok := desired[c]; !ok && isPerService(c.name) {
			s.remove(c)
		}
	}
	s.headJumps(now)
	return s.text()
}

// headJumps puts every jump at the head of its chain, unless the very same stands there already.
func (s *script) headJumps(now saved) {
	byChain := map[chain][]string{}
	var order []chain
	for _, j := range jumps() {
		if byChain[j.from] == nil {
			order = append(order, j.from)
		}
		byChain[j.from] = append(byChain[j.from], j.rule)
	}
	for _, c := range order {
		t := s.table(c.table)
		for _, r := range now.ours[c] {
			t.del = append(t.del, "-D "+c.name+" "+r)
		}
		for i, r := range byChain[c] {
			t.add = append(t.add, fmt.Sprintf("-I %s %d %s", c.name, i+1, r))
		}
	}
}

func isPerService(name string) bool {
	return slices.ContainsFunc(perServiceNames, func(p string) bool { return strings.HasPrefix(name, p) })
}

// isJumpTarget says whether our jumps lead there. Other chains KUBE-… may be a network policy controller's.
func isJumpTarget(chain string) bool {
	return slices.ContainsFunc(jumps(), func(j jump) bool { return strings.HasSuffix(j.rule, " -j "+chain) })
}

// saved is what matters of iptables-save's output: all chains, and the jumps from foreign chains into ours.
type saved struct {
	chains []chain
	ours   map[chain][]string
}

func parseSave(text string) saved {
	out := saved{ours: map[chain][]string{}}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			name, _, _ := strings.Cut(line[1:], " ")
			out.chains = append(out.chains, chain{table, name})
		case strings.HasPrefix(line, "-A "):
			name, rule, _ := strings.Cut(line[3:], " ")
			_, target, _ := strings.Cut(rule, " -j ")
			if !strings.HasPrefix(name, "KUBE-") && isJumpTarget(target) {
				c := chain{table, name}
				out.ours[c] = append(out.ours[c], rule)
			}
		}
	}
	return out
}
