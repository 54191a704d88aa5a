package devicecel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	resourcev1 "k8s.io/api/resource/v1"
)

func TestWhatIsAccepted(t *testing.T) {
	for _, expression := range []string{
		`true`,
		`device.driver == "gpu.example.com"`,
		`device.attributes["gpu.example.com"].memory > 4`,
		`device.attributes["gpu.example.com"].flag`,
		`device.capacity["gpu.example.com"].memory.compareTo(quantity("10Gi")) >= 0`,
		`cel.bind(dra, device.attributes["dra.example.com"], dra.oneBool && dra.anotherBool)`,
		`device.allowMultipleAllocations == true`,
		`device.attributes["gpu.example.com"].version.isGreaterThan(semver("1.2.3"))`,
		`"gpu.example.com" in device.attributes`,
	} {
		for _, stored := range []bool{false, true} {
			cost, problem := Check(expression, stored)
			require.Nil(t, problem, expression)
			require.Less(t, cost, uint64(resourcev1.CELSelectorExpressionMaxCost), expression)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for expression, words := range map[string]string{
		`device.name == "x"`:       "undefined field 'name'",
		`device.driver`:            "must evaluate to bool or the unknown type, not string",
		`1 +`:                      "compilation failed: ",
		`pod.name == "x"`:          "undeclared reference to 'pod'",
		`device.driver.size() + 1`: "must evaluate to bool or the unknown type, not int",
	} {
		_, problem := Check(expression, false)
		require.NotNil(t, problem, expression)
		require.Contains(t, problem.Detail, words)
	}
}

// TestListsAreOnlyStored: whether an attribute is a list is decided by a feature that is off, but what was stored with it works.
func TestListsAreOnlyStored(t *testing.T) {
	const expression = `device.attributes["gpu.example.com"].roots.exists(r, r == "x")`
	_, problem := Check(expression, false)
	require.NotNil(t, problem)
	_, problem = Check(expression, true)
	require.Nil(t, problem)
}

func TestCostHasAnEnd(t *testing.T) {
	loop := `device.attributes["dra.example.com"].map(k, k)`
	cost, problem := Check(strings.Repeat(loop+`.exists(x, `, 6)+`true`+strings.Repeat(`)`, 6), false)
	require.Nil(t, problem)
	require.Greater(t, cost, uint64(resourcev1.CELSelectorExpressionMaxCost))
}
