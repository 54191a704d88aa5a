package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// tables interprets iptables-restore scripts as far as the proxy writes them, and is as strict as the real one: a chain
// must exist to be filled, jumped to or removed, a line to be deleted. The real iptables is put to the same use by the
// cluster tests.
type tables struct {
	chains map[chain][]string
	runs   int
	cut    []udpFlow
}

func newTables() *tables {
	k := &tables{chains: map[chain][]string{}}
	for _, j := range jumps() {
		k.chains[j.from] = nil
	}
	return k
}

func (k *tables) intact(context.Context) bool { _, ok := k.chains[canary]; return ok }
func (k *tables) forgetUDP(f []udpFlow) error { k.cut = append(k.cut, f...); return nil }

func (k *tables) save(context.Context) (string, error) {
	var b strings.Builder
	for _, table := range []string{"nat", "filter", "mangle"} {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, c := range sortedChains(k.chains) {
			if c.table == table {
				fmt.Fprintf(&b, ":%s - [0:0]\n", c.name)
			}
		}
		for _, c := range sortedChains(k.chains) {
			for _, r := range k.chains[c] {
				if c.table == table {
					fmt.Fprintf(&b, "-A %s %s\n", c.name, r)
				}
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String(), nil
}

func (k *tables) restore(_ context.Context, script string) error {
	k.runs++
	table := ""
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		} else if err := k.line(table, line); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
	}
	return nil
}

func (k *tables) line(table, line string) error {
	if line == "COMMIT" {
		return k.unknownTargets(table)
	}
	word, rest, _ := strings.Cut(line, " ")
	if name, ok := strings.CutPrefix(word, ":"); ok {
		k.chains[chain{table, name}] = nil
		return nil
	}
	name, rule, _ := strings.Cut(rest, " ")
	c := chain{table, name}
	rules, ok := k.chains[c]
	if !ok {
		return fmt.Errorf("no chain %v", c)
	}
	switch word {
	case "-A":
		k.chains[c] = append(rules, rule)
	case "-I":
		at, rule, _ := strings.Cut(rule, " ")
		n, err := strconv.Atoi(at)
		k.chains[c] = slices.Insert(rules, n-1, rule)
		return err
	case "-D":
		i := slices.Index(rules, rule)
		if i < 0 {
			return fmt.Errorf("no such rule")
		}
		k.chains[c] = slices.Delete(slices.Clone(rules), i, i+1)
	case "-X":
		delete(k.chains, c)
		return k.dangling(c)
	}
	return nil
}

func (k *tables) unknownTargets(table string) error {
	for c, rules := range k.chains {
		for _, r := range rules {
			_, target, _ := strings.Cut(r, "-j KUBE-")
			target, _, _ = strings.Cut("KUBE-"+target, " ")
			if _, ok := k.chains[chain{table, target}]; c.table == table && strings.Contains(r, "-j KUBE-") && !ok {
				return fmt.Errorf("%v leads to %s, which does not exist", c, target)
			}
		}
	}
	return nil
}

func (k *tables) dangling(gone chain) error {
	for c, rules := range k.chains {
		for _, r := range rules {
			if c.table == gone.table && strings.HasSuffix(r, "-j "+gone.name) {
				return fmt.Errorf("%v still leads to %s", c, gone.name)
			}
		}
	}
	return nil
}

// normal forgets the order of the shared chains' lines, which means nothing.
func (k *tables) normal() map[chain][]string {
	out := maps.Clone(k.chains)
	for _, c := range sharedSets {
		out[c] = slices.Sorted(slices.Values(out[c]))
	}
	return out
}

// TestDifferencesAddUp: after any series of changes, applied one by one as differences, the kernel is as if it had been
// written at once; and a proxy that starts anew on it changes nothing.
func TestDifferencesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newTables()
		p := newProxier(Config{NodeName: "here", ClusterCIDR: "10.244.0.0/16"}, k)
		ctx := context.Background()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			randomChange(t, p)
			if rapid.Bool().Draw(t, "sync") {
				must(t, p.sync(ctx))
			}
		}
		must(t, p.sync(ctx))

		fresh := newTables()
		again := newProxier(p.Config, fresh)
		again.services, again.slices = p.services, p.slices
		must(t, again.sync(ctx))
		if !maps.EqualFunc(k.normal(), fresh.normal(), slices.Equal[[]string]) {
			t.Fatalf("by differences:\n%v\nat once:\n%v", k.normal(), fresh.normal())
		}
		before := k.normal()
		restarted := newProxier(p.Config, k)
		restarted.services, restarted.slices = p.services, p.slices
		must(t, restarted.sync(ctx))
		if !maps.EqualFunc(k.normal(), before, slices.Equal[[]string]) {
			t.Fatalf("a restart changed\n%v\nto\n%v", before, k.normal())
		}
	})
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func randomChange(t *rapid.T, p *proxier) {
	name := fmt.Sprintf("s%d", rapid.IntRange(0, 3).Draw(t, "service"))
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		p.dropService(svc)
	case 1, 2:
		randomService(t, svc)
		p.setService(svc)
	default:
		s := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](8080), Protocol: ptr.To(v1.ProtocolTCP)}},
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "endpoints") {
			node := rapid.SampledFrom([]string{"here", "there"}).Draw(t, "node")
			e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.0.%d", i)}, NodeName: &node}
			if rapid.Bool().Draw(t, "leaving") {
				e.Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
			}
			s.Endpoints = append(s.Endpoints, e)
		}
		p.setSlice(s)
	}
}

func randomService(t *rapid.T, svc *v1.Service) {
	number := int(svc.Name[1] - '0')
	svc.Spec = v1.ServiceSpec{
		ClusterIP: fmt.Sprintf("10.96.0.%d", number),
		Ports:     []v1.ServicePort{{Port: 80, Protocol: v1.ProtocolTCP, NodePort: int32(30000 + number)}},
	}
	if rapid.Bool().Draw(t, "local") {
		svc.Spec.ExternalTrafficPolicy = v1.ServiceExternalTrafficPolicyLocal
	}
	if rapid.Bool().Draw(t, "inside") {
		svc.Spec.InternalTrafficPolicy = ptr.To(v1.ServiceInternalTrafficPolicyLocal)
	}
	if rapid.Bool().Draw(t, "affinity") {
		svc.Spec.SessionAffinity = v1.ServiceAffinityClientIP
	}
	if rapid.Bool().Draw(t, "external") {
		svc.Spec.ExternalIPs = []string{"198.51.100.7"}
	}
}

// TestUnchangedIsNotWritten: an update that changes no rule runs no program.
func TestUnchangedIsNotWritten(t *testing.T) {
	k := newTables()
	p := newProxier(Config{}, k)
	svc, slices := readService(t, "testdata/nodeport.input.yaml")
	p.setService(svc)
	for _, s := range slices {
		p.setSlice(s)
	}
	if err := p.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs := k.runs
	relabelled := svc.DeepCopy()
	relabelled.Labels = map[string]string{"a": "b"}
	p.setService(relabelled)
	if err := p.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k.runs != runs {
		t.Fatalf("%d runs for nothing", k.runs-runs)
	}
}

// A network policy controller has chains KUBE-… too; the jumps to those are not ours to move.
func TestForeignJumpsToKubeChainsStay(t *testing.T) {
	existing := "*filter\n:FORWARD ACCEPT [0:0]\n:KUBE-FORWARD - [0:0]\n:KUBE-ROUTER-FORWARD - [0:0]\n" +
		"-A FORWARD -m comment --comment \"policies\" -j KUBE-ROUTER-FORWARD\n-A FORWARD -m comment --comment \"old\" -j KUBE-FORWARD\nCOMMIT\n"
	script := everything(nil, existing)
	if strings.Contains(script, "KUBE-ROUTER-FORWARD") {
		t.Errorf("the script touches another's jump:\n%s", script)
	}
	if !strings.Contains(script, `-D FORWARD -m comment --comment "old" -j KUBE-FORWARD`) {
		t.Errorf("the script leaves an old jump of ours:\n%s", script)
	}
}
