package bench

import (
	"context"
	"net/http"
)

// gets measures gets of pods. A consistent one shows what was newest when it was asked for, wherever that was written; one from the image
// may show what was newest a moment before.
func gets(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "get", func(api, limit *server) (results []Result, err error) {
		n := b.scaled(1000, 200)
		if err := b.fill(ctx, api, n); err != nil {
			return nil, err
		}
		get := func(query string) func(context.Context, int) (int64, error) {
			return func(ctx context.Context, i int) (int64, error) {
				return api.size(ctx, http.MethodGet, podsPath+"/"+podName("p", i%n)+query, jsonType, nil)
			}
		}
		for _, v := range []verb{
			{name: "get", do: get(""), aim: &Aim{AtLeast: 1 / 1.5}},
			{name: "get from image", do: get("?resourceVersion=0")},
		} {
			v.api, v.limit = api, limit
			r, err := b.verb(ctx, v)
			if err != nil {
				return nil, err
			}
			results = append(results, r...)
		}
		return results, nil
	})
}
