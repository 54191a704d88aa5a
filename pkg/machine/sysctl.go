package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sysctl is a kernel setting that the node needs. All of them belong to the network namespace.
type sysctl struct {
	name, value string
	// module is loaded if the setting is missing without it.
	module string
	reason string
}

var sysctls = []sysctl{
	{"net/ipv4/ip_forward", "1", "", "packets go from the bridge of the pods to other interfaces"},
	{"net/ipv4/conf/all/route_localnet", "1", "", "node ports answer on 127.0.0.1"},
	{"net/bridge/bridge-nf-call-iptables", "1", "br_netfilter", "packets between pods of one bridge pass the rules of Services"},
}

// setSysctl sets s, with the value of before in the ledger.
func (m *Machine) setSysctl(s sysctl) error {
	path := filepath.Join("/proc/sys", s.name)
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && s.module != "" {
		if out, loadErr := exec.Command("modprobe", s.module).CombinedOutput(); loadErr != nil {
			return fmt.Errorf("load kernel module %s: %w: %s; without it %s does not hold", s.module, loadErr, strings.TrimSpace(string(out)), s.reason)
		}
		old, err = os.ReadFile(path)
	}
	if err != nil {
		return fmt.Errorf("read sysctl %s: %w", s.name, err)
	}
	was := strings.TrimSpace(string(old))
	if was == s.value {
		return nil
	}
	if err := m.ledger.Record(Entry{Kind: KindSysctl, Name: s.name, Old: was, New: s.value, Reason: s.reason}); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(s.value), 0o644); err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", s.name, s.value, err)
	}
	return nil
}
