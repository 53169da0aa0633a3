package view

import "encoding/json"

// MarshalJSON writes the sums as the API has them: what no call knows is null.
func (s Sums) MarshalJSON() ([]byte, error) {
	known := func(n int64) *int64 {
		if s.Tokens() == nil {
			return nil
		}
		return &n
	}
	return json.Marshal(struct {
		Calls            int64    `json:"calls"`
		Failed           int64    `json:"failed"`
		Tokens           *int64   `json:"tokens"`
		PromptTokens     *int64   `json:"prompt_tokens"`
		CompletionTokens *int64   `json:"completion_tokens"`
		CacheReadTokens  *int64   `json:"cache_read_tokens"`
		CacheWriteTokens *int64   `json:"cache_write_tokens"`
		ReasoningTokens  *int64   `json:"reasoning_tokens"`
		UnmeteredCalls   int64    `json:"unmetered_calls"`
		CostUSD          *float64 `json:"cost_usd"`
		UnpricedCalls    int64    `json:"unpriced_calls"`
	}{
		s.Calls, s.Failed, s.Tokens(), known(s.PromptTokens), known(s.CompletionTokens),
		known(s.CacheReadTokens), known(s.CacheWriteTokens), known(s.ReasoningTokens), s.Unmetered, s.CostUSD(), s.Unpriced,
	})
}

// object returns metadata as JSON: as it is, or as a string if it is none after all.
func object(text *string) any {
	switch {
	case text == nil:
		return nil
	case json.Valid([]byte(*text)):
		return json.RawMessage(*text)
	}
	return *text
}

// MarshalJSON adds the metadata.
func (c *Call) MarshalJSON() ([]byte, error) {
	type plain Call
	return json.Marshal(struct {
		*plain
		Metadata any `json:"metadata"`
	}{(*plain)(c), object(c.Metadata)})
}

// MarshalJSON adds the metadata.
func (e *EntryDetail) MarshalJSON() ([]byte, error) {
	type plain EntryDetail
	return json.Marshal(struct {
		*plain
		Metadata any `json:"metadata"`
	}{(*plain)(e), object(e.Metadata)})
}

// MarshalJSON adds the metadata.
func (r *Reading) MarshalJSON() ([]byte, error) {
	type plain Reading
	return json.Marshal(struct {
		*plain
		Metadata any `json:"metadata"`
	}{(*plain)(r), object(r.Metadata)})
}
