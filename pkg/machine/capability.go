package machine

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// capSysResource lets a process raise limits and lower its OOM score. Containers often lack it.
const capSysResource = 24

// hasCapability says whether this process has a capability.
func hasCapability(bit int) bool {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return err == nil && set&(1<<bit) != 0
		}
	}
	return false
}
