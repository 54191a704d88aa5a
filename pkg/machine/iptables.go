package machine

import (
	"bufio"
	"bytes"
	"context"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// A machine can hold rules in two places, written by two variants of iptables; the plain name is an
// alternative for one of them. Whoever cleans up looks at both, and at IPv6 too.
var iptablesVariants = []string{"iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"}

// saveAll is everything that all variants hold. Variants that are not installed hold nothing.
func saveAll(ctx context.Context) []byte {
	var all []byte
	for _, variant := range iptablesVariants {
		all = append(append(all, '\n'), save(ctx, variant)...)
	}
	return all
}

// save is the text that iptables-save of the variant prints, or nothing.
func save(ctx context.Context, variant string) []byte {
	path, err := lookPath(variant + "-save")
	if err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, path).Output()
	if err != nil {
		return nil
	}
	return out
}

// ruleset is what of ours is in one variant, and how to remove it.
type ruleset struct {
	variant string
	// chains are our chains, as table/chain; jumps counts the rules elsewhere that lead to them.
	chains []string
	jumps  int
	// removal is the input for iptables-restore --noflush that takes out just these.
	removal string
}

// findChains reads the output of iptables-save and finds the chains whose names start with one of the
// prefixes. A chain can be deleted only when nothing jumps to it, and rules of a chain may jump to another, so
// the removal deletes the jumps from chains that are not ours, then empties ours, then deletes them.
func findChains(variant string, saved []byte, prefixes []string) ruleset {
	r := ruleset{variant: variant}
	var out strings.Builder
	var chains, jumps []string
	table := ""
	ours := func(chain string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(chain, p) })
	}
	for lines := bufio.NewScanner(bytes.NewReader(saved)); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "*"):
			table, chains, jumps = line[1:], nil, nil
		case strings.HasPrefix(line, ":"):
			if chain, _, _ := strings.Cut(line[1:], " "); ours(chain) {
				chains = append(chains, chain)
				r.chains = append(r.chains, table+"/"+chain)
			}
		case strings.HasPrefix(line, "-A "):
			if from, to := jumpOf(line); ours(to) && !ours(from) {
				jumps = append(jumps, "-D "+line[len("-A "):])
				r.jumps++
			}
		case line == "COMMIT":
			out.WriteString(removal(table, chains, jumps))
		}
	}
	r.removal = out.String()
	return r
}

func removal(table string, chains, jumps []string) string {
	if len(chains) == 0 {
		return ""
	}
	lines := append([]string{"*" + table}, jumps...)
	for _, c := range chains {
		lines = append(lines, "-F "+c)
	}
	for _, c := range chains {
		lines = append(lines, "-X "+c)
	}
	return strings.Join(append(lines, "COMMIT", ""), "\n")
}

// quoted is a comment or a log prefix, in which people write what they like.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// jumpOf returns the chain that a rule is in and the one that it leads to.
func jumpOf(rule string) (from, to string) {
	words := strings.Fields(quoted.ReplaceAllString(rule, `""`))
	for i, w := range words[:len(words)-1] {
		if w == "-j" || w == "-g" {
			to = words[i+1]
		}
	}
	return words[1], to
}
