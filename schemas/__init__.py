"""The contract: what producers send, what tables hold, and the rules that join the two. Imports nothing of ours."""
