# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One experiment, from counts to a decision
#
# A new ranker was shown to some users (`treatment`), and the old one to as many others (`control`). The question:
# **do people save more pins with the new ranker?** We go from raw counts to a decision, and show what happens to *p* if
# somebody looks every hour and stops as soon as it is below 0.05.
#
# All numbers come from ClickHouse through `pintally.features`. The variables `PINTALLY_CLICKHOUSE_*` say where it is.
# `PINTALLY_EXPERIMENTS` of the workers must name the experiment.

# %%
from datetime import timedelta

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pintally.features import FeatureReader

reader = FeatureReader()
EXPERIMENT, HOUR, LEVEL = "ranker_q4", timedelta(hours=1), 0.05

# %% [markdown]
# ## The counts
#
# Events of each arm, hour by hour. `experiment` answers for any hours `[start, end)`; here for one hour at a time.

# %%
newest = reader.top("1h", k=1)["as_of"].iloc[0].floor("1h")
hours = pd.date_range(newest - 12 * HOUR, newest - HOUR, freq="1h")
by_hour = pd.concat(
    reader.experiment(EXPERIMENT, start=hour.to_pydatetime(), end=(hour + HOUR).to_pydatetime()).assign(hour=hour)
    for hour in hours
)
first = by_hour["hour"].min()
counts = by_hour[by_hour["metric"].isin(["saves", "closeups"])].pivot_table(
    index="hour", columns=["metric", "arm"], values="value"
)
counts["saves"].plot(drawstyle="steps-post", figsize=(9, 3), xlabel="UTC", ylabel="saves in an hour")
plt.show()

# %% [markdown]
# ## Can the arms be compared?
#
# If users are split in halves, the arms must be about equally large. The *sample ratio* test asks whether that is so.
# If its alarm is raised, something is wrong with the assignment, and no result should be believed before that is
# found.

# %%
results = reader.experiment(EXPERIMENT, start=first.to_pydatetime(), end=newest.to_pydatetime())
treatment = results[results["arm"] == "treatment"].set_index("metric")
alarm = treatment["sample_ratio_alarm"].any()
print(f"sample ratio: p = {treatment['sample_ratio_p'].iloc[0]:.2f}, alarm: {alarm}")

# %% [markdown]
# ## The result
#
# We decided before the start which metric counts: `save_rate`, saves for each close-up. Its interval is made from 256
# buckets of users, not from single events, because the events of one user depend on each other.

# %%
shown = ["saves", "closeups", "save_rate", "click_rate"]
treatment.loc[shown, ["value", "difference", "low", "high", "lift", "p"]].round(4)

# %%
metric = treatment.loc["save_rate"]
wins = metric["p"] < LEVEL and metric["low"] > 0 and not alarm
print(f"save_rate: {metric['lift']:+.0%}, from {metric['lift_low']:+.0%} to {metric['lift_high']:+.0%}")
print("decision: " + ("ship the new ranker" if wins else "keep the old ranker"))

# %% [markdown]
# ## Looking every hour
#
# Here is *p* as somebody would have seen it who asked at the end of each hour.

# %%
looks = pd.concat(
    reader.experiment(EXPERIMENT, start=first.to_pydatetime(), end=(hour + HOUR).to_pydatetime()).assign(hour=hour)
    for hour in hours[hours >= first]
)
seen = looks[(looks["arm"] == "treatment") & (looks["metric"] == "save_rate")].set_index("hour")["p"]
axes = seen.plot(marker="o", figsize=(9, 3), xlabel="UTC", ylabel="p so far", logy=True)
axes.axhline(LEVEL, color="grey", linewidth=0.8)
plt.show()

# %% [markdown]
# One look at the planned end is wrong in one of twenty experiments *without* an effect. How often is somebody wrong who
# stops at the first *p* below 0.05? We simulate experiments without any effect. After each look the difference, in
# standard errors, is the sum of what each hour added, divided by the root of the number of hours.

# %%
rng = np.random.default_rng(1)
TWO_SIDED = 1.959964  # |z| above it means p < 0.05
steps = rng.standard_normal((20_000, 14 * 24))
z = np.abs(np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, steps.shape[1] + 1)))
plans = {
    "once, at the end": np.array([14 * 24 - 1]),
    "every day": np.arange(23, 14 * 24, 24),
    "every hour": np.arange(14 * 24),
}
wrong = {name: (z[:, at] > TWO_SIDED).any(axis=1).mean() for name, at in plans.items()}

# %% [markdown]
# Who wants to look often must ask for more each time. For a given plan of looks, the bound that only one of twenty
# experiments without an effect ever crosses is the 95% quantile of the highest |z| of a run (Pocock, "Group sequential
# methods in the design and analysis of clinical trials", Biometrika 1977).

# %%
bounds = {name: np.quantile(z[:, at].max(axis=1), 1 - LEVEL) for name, at in plans.items()}
table = pd.DataFrame({"looks": {name: len(at) for name, at in plans.items()}, "wrong": wrong, "bound of |z|": bounds})
table.round(3)

# %% [markdown]
# **What to do.** Decide before the start when to look and which metric counts. If that is once, compare *p* with 0.05
# on that day and not before. If it is more often, compare |difference| / standard error with the bound of your plan;
# the standard error is `(high - low) / 3.92`.

# %%
error = (metric["high"] - metric["low"]) / (2 * TWO_SIDED)
print(
    f"|z| at the end: {abs(metric['difference']) / error:.1f}, bound for looks every hour: {bounds['every hour']:.2f}"
)
