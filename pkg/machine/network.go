package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// Network is what the pods of a node are connected by.
type Network struct {
	// PodCIDR are the addresses for pods on this node, ClusterCIDR those for pods on all nodes.
	PodCIDR, ClusterCIDR netip.Prefix
}

// EnsureNetwork makes the node ready to connect pods, and may be called again with the same or a new network.
// It sets what the kernel needs to forward packets, the rules for pods that speak with the world outside, and
// last the configuration that containerd waits for. The bridge itself is made with the first pod.
func (m *Machine) EnsureNetwork(ctx context.Context, n Network) error {
	for _, s := range sysctls {
		if err := m.setSysctl(s); err != nil {
			return err
		}
	}
	if err := applyRules(ctx, m.Dir, n); err != nil {
		return err
	}
	mtu, err := nodeMTU()
	if err != nil {
		return err
	}
	return writeCNI(m.Dir, n, mtu)
}

// sharedChains are the prefixes of chains whose names the cluster does not choose: those of a Service proxy
// are upstream's, which tools expect, and those of host ports the CNI plugin's. Other chains CNI-… are podman's.
var sharedChains = []string{"KUBE-", "CNI-HOSTPORT-", "CNI-DN-"}

// recordSharedChains takes responsibility for such chains, unless there are some already: then they are
// someone else's, and stay. It must run before anything that makes rules.
func (m *Machine) recordSharedChains(ctx context.Context) error {
	known := append(m.ledger.Entries(KindChains), m.ledger.Entries(kindForeign)...)
	var saves []byte
	for _, prefix := range sharedChains {
		if hasName(known, prefix) {
			continue
		}
		if saves == nil {
			saves = saveAll(ctx)
		}
		e := Entry{Kind: KindChains, Name: prefix, Reason: "Services and host ports"}
		if bytes.Contains(saves, []byte("\n:"+prefix)) {
			e = Entry{Kind: kindForeign, Name: prefix, Reason: "there before this cluster"}
		}
		if err := m.ledger.Record(e); err != nil {
			return err
		}
	}
	return nil
}

func hasName(entries []Entry, name string) bool {
	for _, e := range entries {
		if e.Name == name {
			return true
		}
	}
	return false
}

func networkName(dir Dir) string { return "bonsai-" + dir.ID() }

// writeCNI writes the one network that containerd will find.
func writeCNI(dir Dir, n Network, mtu int) error {
	conf := dir.Join("cni", "conf", "10-bonsai.conflist")
	if err := os.MkdirAll(dir.Join("cni", "conf"), 0o755); err != nil {
		return fmt.Errorf("write CNI network: %w", err)
	}
	text := cniConfig(dir, n, mtu)
	if have, err := os.ReadFile(conf); err == nil && bytes.Equal(have, text) {
		return nil
	}
	// The file must be whole when it appears, and it must be renamed within the directory: containerd looks at the
	// directory when something in it is written, renamed or removed, but not when something appears from elsewhere.
	// It takes any name ending in .conf, .conflist or .json.
	if err := os.WriteFile(conf+".next", text, 0o644); err != nil {
		return fmt.Errorf("write CNI network: %w", err)
	}
	return os.Rename(conf+".next", conf)
}

// cniConfig is the configuration of the pod network. Masquerading is not the plugin's task here: it would
// make a chain for each pod, where one rule for all does.
func cniConfig(dir Dir, n Network, mtu int) []byte {
	type object = map[string]any
	text, err := json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       networkName(dir),
		"plugins": []object{{
			"type":         "bridge",
			"bridge":       dir.Bridge(),
			"isGateway":    true,
			"forceAddress": true, // a node that gets another range moves its bridge
			"ipMasq":       false,
			"hairpinMode":  true, // a pod reaches itself through its own Service
			"mtu":          mtu,  // or large packets to the world would be dropped on the node's own link
			"ipam": object{
				"type":    "host-local",
				"ranges":  [][]object{{{"subnet": n.PodCIDR.String()}}},
				"routes":  []object{{"dst": "0.0.0.0/0"}},
				"dataDir": dir.Join("cni", "state"),
			},
		}, {
			"type":         "portmap",
			"capabilities": object{"portMappings": true},
			"snat":         true,
		}},
	}, "", "  ")
	if err != nil {
		panic(err) // only strings, booleans and maps of them
	}
	return append(text, '\n')
}

// ownChain is the chain of the node's own rules, in the tables nat and filter.
func ownChain(dir Dir) string { return "BONSAI-" + dir.ID() }

// nodeRules are the rules of a node, for iptables-restore --noflush, which empties the chains that it declares.
//
// nat: packets from pods to the world outside of the pod network leave with the node's address, because
// nobody outside knows a way back to a pod.
// filter: what goes through the bridge is forwarded even where the policy is to drop, as Docker sets it.
func nodeRules(dir Dir, n Network) string {
	chain, bridge := ownChain(dir), dir.Bridge()
	return strings.Join([]string{
		"*nat",
		":" + chain + " - [0:0]",
		"-A " + chain + " -d " + n.ClusterCIDR.String() + " -j RETURN",
		"-A " + chain + " -d 224.0.0.0/4 -j RETURN",
		"-A " + chain + " -s " + n.PodCIDR.String() + " -j MASQUERADE --random-fully",
		"COMMIT",
		"*filter",
		":" + chain + " - [0:0]",
		"-A " + chain + " -i " + bridge + " -j ACCEPT",
		"-A " + chain + " -o " + bridge + " -j ACCEPT",
		"COMMIT",
		"",
	}, "\n")
}

// applyRules sets the node's chains, and the jumps to them if they are missing. The jump in FORWARD is the
// last one, so that a Service proxy's rules and policies are asked first.
func applyRules(ctx context.Context, dir Dir, n Network) error {
	if err := iptablesRestore(ctx, "iptables-restore", nodeRules(dir, n)); err != nil {
		return err
	}
	for _, jump := range [][]string{{"nat", "POSTROUTING"}, {"filter", "FORWARD"}} {
		rule := []string{jump[1], "-m", "comment", "--comment", "bonsai pod network", "-j", ownChain(dir)}
		if iptables(ctx, append([]string{"-t", jump[0], "-C"}, rule...)...) == nil {
			continue
		}
		if err := iptables(ctx, append([]string{"-t", jump[0], "-A"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

func iptables(ctx context.Context, args ...string) error {
	return runTool(ctx, "", "iptables", append([]string{"-w", "10"}, args...)...)
}

func iptablesRestore(ctx context.Context, tool, rules string) error {
	return runTool(ctx, rules, tool, "--noflush", "-w", "10")
}

// runTool runs a program of the host; its error is what the program said.
func runTool(ctx context.Context, stdin, name string, args ...string) error {
	path, err := lookPath(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// lookPath finds a program of the host, also where PATH leaves the sbin directories out.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", errors.New(name + " is not installed: apt-get install iptables")
}
