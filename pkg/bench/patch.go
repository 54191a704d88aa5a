package bench

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// patchText is what a kubelet sends when a container of a running pod was restarted: a strategic merge patch of the status. COUNT takes
// the place of the number of restarts, so that each patch changes something.
const patchText = `{"status":{"$setElementOrder/conditions":[{"type":"PodReadyToStartContainers"},{"type":"Initialized"},{"type":"Ready"},
{"type":"ContainersReady"},{"type":"PodScheduled"}],"conditions":[
{"type":"Ready","status":"True","lastTransitionTime":"2026-11-22T11:00:12Z"},{"type":"ContainersReady","status":"True","lastTransitionTime":"2026-11-22T11:00:12Z"}],
"containerStatuses":[{"name":"web","ready":true,"started":true,"restartCount":COUNT,"image":"registry.example.com/shop/storefront:2.14.3",
"imageID":"registry.example.com/shop/storefront@sha256:3b1f0c7c2a4de98a6a2b7f3e6d1c0b9a8f7e6d5c4b3a29181716151413121110",
"containerID":"containerd://9f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00","state":{"running":{"startedAt":"2026-11-22T11:00:03Z"}}}]}}`

func statusPatch(restarts int) []byte {
	return []byte(strings.Replace(patchText, "COUNT", strconv.Itoa(restarts), 1))
}

// patches measures patches of the status of running pods, as kubelets send them.
func patches(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "patch", func(api, limit *server) ([]Result, error) {
		n := b.scaled(1000, 200)
		if err := b.run(ctx, api, "p", n); err != nil {
			return nil, err
		}
		return b.verb(ctx, verb{name: "status patch", api: api, limit: limit, sent: len(statusPatch(1000)),
			do: func(ctx context.Context, i int) (int64, error) {
				return api.size(ctx, http.MethodPatch, podsPath+"/"+podName("p", i%n)+"/status", strategicType, statusPatch(i+1))
			}})
	})
}
