package resource

import (
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A pod has dozens of names in it, and apimachinery matches each with a regular expression. Here a walk over the bytes tells
// which names are right, many times faster; apimachinery is asked what is wrong with the others, as the words are its own.

// The rules for the names of objects. Which kind follows which is upstream's history: names that become part of
// a DNS name must be labels, most others may be subdomains. A prefix is to be completed, so it may end with a dash.

func subdomainName(name string, prefix bool) []string {
	if isSubdomain(name) || prefix && isSubdomain(strings.TrimSuffix(name, "-")) {
		return nil
	}
	return apivalidation.NameIsDNSSubdomain(name, prefix)
}

func labelName(name string, prefix bool) []string {
	if isLabel(name) || prefix && isLabel(strings.TrimSuffix(name, "-")) {
		return nil
	}
	return apivalidation.NameIsDNSLabel(name, prefix)
}

func dnsLabel(s string, path *place) field.ErrorList {
	return invalid(path, s, labelName(s, false))
}

func dnsSubdomain(s string, path *place) field.ErrorList {
	return invalid(path, s, subdomainName(s, false))
}

func qualifiedName(s string, path *place) field.ErrorList {
	return invalid(path, s, qualifiedProblems(s))
}

func qualifiedProblems(s string) []string {
	if isQualified(s) {
		return nil
	}
	return validation.IsQualifiedName(s)
}

func labelValueProblems(s string) []string {
	if isLabelValue(s) {
		return nil
	}
	return validation.IsValidLabelValue(s)
}

// labelKey is qualifiedName with the words of labels.
func labelKey(s string, path *place) field.ErrorList {
	if isQualified(s) {
		return nil
	}
	return metavalidation.ValidateLabelName(s, path.path())
}

// labelMap validates labels one by one, for apimachinery has no order among them.
func labelMap(m map[string]string, path *place) field.ErrorList {
	var errs field.ErrorList
	for k, v := range sorted(m) {
		if !isQualified(k) || !isLabelValue(v) {
			errs = append(errs, metavalidation.ValidateLabels(map[string]string{k: v}, path.path())...)
		}
	}
	return errs
}

// isLabel is whether s is a DNS label: web-1.
func isLabel(s string) bool { return len(s) <= 63 && isDNSWord(s) }

// isSubdomain is whether s is a DNS subdomain: web.example.com. The labels in it may be as long as all of it.
func isSubdomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isDNSWord(label) {
			return false
		}
	}
	return len(s) <= 253
}

// isDNSWord is whether s has what a DNS label is made of.
func isDNSWord(s string) bool {
	for i := range len(s) {
		if !isLower(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != "" && s[0] != '-' && s[len(s)-1] != '-'
}

// isQualified is whether s is a name that may have a domain: example.com/My_Name.
func isQualified(s string) bool {
	domain, name, ok := strings.Cut(s, "/")
	if !ok {
		return isWord(s)
	}
	return isSubdomain(domain) && isWord(name)
}

func isLabelValue(s string) bool { return s == "" || isWord(s) }

// isWord is whether s is the name in a qualified name: My_Name.
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 63 && isAlphanumeric(s[0]) && isAlphanumeric(s[len(s)-1])
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isAlphanumeric(c byte) bool { return isLower(c) || c >= 'A' && c <= 'Z' }
