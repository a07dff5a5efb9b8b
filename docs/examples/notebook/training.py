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
# # From counts to a model that keeps its promise
#
# We want to know **which pins will be saved in the next hour**. We train a small model on the past, and ask two
# questions:
#
# 1. How good is the model?
# 2. Will it be as good when it runs? A model often is not, because its training data knew things that nobody could
#    have known at the time. We show how much that costs, and how to avoid it.
#
# All numbers come from ClickHouse through `pintally.features`. The variables `PINTALLY_CLICKHOUSE_*` say where it is.

# %%
from datetime import timedelta

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pintally.features import FeatureReader

reader = FeatureReader()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

# %% [markdown]
# ## The traffic
#
# Counts of each pin and minute, for the hours before the newest cut. A *cut* is a moment, every ten minutes, up to
# which everything that had arrived is counted. (`make notebook` runs on emulated traffic, in which each pin is popular
# for three hours.)

# %%
newest = reader.top("1h", k=1)["as_of"].iloc[0]
minutes = reader.counts(start=newest - 12 * HOUR, end=newest, resolution="1m")
ten = minutes.set_index("window_start")[["saves", "clicks", "closeups"]].resample("10min").sum()
ten.plot(drawstyle="steps-post", figsize=(9, 3), xlabel="UTC", ylabel="events in ten minutes")
plt.show()

print(f"{minutes['pin_id'].nunique():,} pins, {minutes['saves'].sum():,} saves")

# %% [markdown]
# ## The examples
#
# An example is a pin at a moment. The moments are twenty minutes apart. At each moment we take the 300 pins that had
# the most events in the hour before, **as it was known at that moment**: `top(as_of=...)`.
#
# The answer that the model must learn (the *label*) is whether the pin is saved at least once in the hour after the
# moment.

# %%
first = minutes["window_start"].min().ceil("1h") + 2 * HOUR + 10 * MINUTE
moments = pd.date_range(first, newest - HOUR, freq="20min")
pairs = pd.concat(
    reader.top("1h", k=300, as_of=moment.to_pydatetime())[["pin_id"]].assign(event_timestamp=moment)
    for moment in moments
).reset_index(drop=True)

saves = minutes.loc[minutes["saves"] > 0, ["pin_id", "window_start"]]


def saved_after(pairs):
    """Whether each pin is saved in the hour after its moment."""
    later = pairs.reset_index().merge(saves, on="pin_id")
    age = later["window_start"] - later["event_timestamp"]
    return pairs.index.isin(later.loc[(age >= timedelta(0)) & (age < HOUR), "index"]).astype(int)


pairs["saved"] = saved_after(pairs)
print(f"{len(pairs):,} examples at {len(moments)} moments; {pairs['saved'].mean():.0%} are saved in the next hour")

# %% [markdown]
# ## Two ways to get the numbers
#
# **As known at the moment.** `get_historical_features` returns what a reader saw at `event_timestamp`, to the last
# bit. The column `as_of` says which cut that was.

# %%
KNOWN = ["saves_1h", "clicks_1h", "closeups_1h", "saves_24h", "closeups_24h", "trend_1h"]
pairs = reader.get_historical_features(pairs, KNOWN)
pairs.head()

# %% [markdown]
# **With hindsight.** The join that most people write first: take the row of the hour that the moment is in. The table
# has that row today, and it is correct. But at 14:20 nobody knew what would happen until 15:00: the hour of 14:00
# holds forty minutes of the answer.

# %%
HOURLY = ["saves", "clicks", "closeups"]
hours = reader.counts(start=newest - 12 * HOUR, end=newest + HOUR, resolution="1h")
hours = hours.rename(columns={"window_start": "hour"})[["pin_id", "hour", *HOURLY]]


def of_the_hour(pairs, hours):
    """The counts of the hour of each moment."""
    joined = pairs.assign(hour=pairs["event_timestamp"].dt.floor("1h")).merge(hours, how="left", on=["pin_id", "hour"])
    return joined[HOURLY].fillna(0)


hindsight = of_the_hour(pairs, hours)

# %% [markdown]
# When the model runs, it gets the same columns from the same table, but the hour is not over yet. These are the
# numbers that it would have been given: the minutes of the hour that lay before the moment.

# %%
so_far = pairs.reset_index()[["index", "pin_id", "event_timestamp"]].merge(minutes, on="pin_id")
age = so_far["event_timestamp"] - so_far["window_start"]
inside = (so_far["window_start"] >= so_far["event_timestamp"].dt.floor("1h")) & (age >= MINUTE)
served = so_far[inside].groupby("index")[HOURLY].sum().reindex(pairs.index, fill_value=0)

busiest = hindsight["saves"].idxmax()
row = pairs.loc[busiest]
hour = row["event_timestamp"].floor("1h")
print(f"Pin {row['pin_id']} at {row['event_timestamp']:%H:%M}, its saves in the hour of {hour:%H:%M}:")
print(f"{hindsight['saves'][busiest]:.0f} in the table today, {served['saves'][busiest]} at the moment")

# %% [markdown]
# ## The model
#
# Logistic regression on the logarithms of counts. It learns from the first two thirds of the moments and is tested on
# the last third, at least an hour later, so that no answer that it learned from lies in the time of the test.

# %%
border = moments[len(moments) * 2 // 3]
train = (pairs["event_timestamp"] < border - HOUR).to_numpy()
test = (pairs["event_timestamp"] >= border).to_numpy()
saved = pairs["saved"].to_numpy()


def logs(values):
    """Counts are spread over powers of ten; trend may be below 0."""
    return np.sign(values) * np.log1p(np.abs(values))


def trained(columns):
    """A model of these columns."""
    model = make_pipeline(FunctionTransformer(logs), StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(columns[train], saved[train])


def scores(model, columns):
    """AUC: how well it ranks (1 is perfect, 0.5 is chance). Log loss: how far its chances are off."""
    chances = model.predict_proba(columns[test])[:, 1]
    return roc_auc_score(saved[test], chances), log_loss(saved[test], chances), chances


as_known = pairs[KNOWN].astype(float).to_numpy()
hindsight, served = hindsight.astype(float).to_numpy(), served.astype(float).to_numpy()
with_hindsight, honest = trained(hindsight), trained(as_known)
chances = {}
results = {}
for name, model, columns in (
    ("hindsight: in the notebook", with_hindsight, hindsight),
    ("hindsight: when it runs", with_hindsight, served),
    ("as known: in the notebook", honest, as_known),
):
    *results[name], chances[name] = scores(model, columns)
table = pd.DataFrame(results, index=["AUC", "log loss"]).T
table.round(3)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
colours = ["tab:red", "lightcoral", "tab:blue"]
left.barh(table.index[::-1], table["AUC"][::-1], color=colours[::-1])
left.set(xlim=(0.5, 1), xlabel="AUC: how well it ranks pins", title="What is promised, and what is kept")

edges = np.linspace(0, 1, 9)
for (name, chance), colour in zip(chances.items(), colours, strict=True):
    part = np.digitize(chance, edges[1:-1])
    points = [(chance[part == each].mean(), saved[test][part == each].mean()) for each in np.unique(part)]
    right.plot(*zip(*points, strict=True), marker="o", color=colour, label=name)
right.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
right.set(xlabel="predicted chance of a save", ylabel="share that was saved")
right.set_title("Can its chances be believed?")
right.legend(fontsize=8)
fig.tight_layout()
plt.show()

# %% [markdown]
# **What happened.** The model with hindsight looks best in the notebook, because a part of the answer was among its
# numbers. When it runs, that part is missing: it ranks far worse than it promised, and its chances are wrong (on the
# grey line they would be right), so its log loss is the highest of the three. The model that was trained on what was
# known gets the same numbers when it runs, so its bar and its line stay where they are.
#
# ## The same numbers online
#
# "As known" is a promise about production: what is served now must be what training sees later. `get_online_features`
# answers at the newest cut, and says in `published_at` when that cut became known. Asked for that moment,
# `get_historical_features` gives the same numbers.

# %%
online = reader.get_online_features(pairs["pin_id"].drop_duplicates(), KNOWN)
later = online[["pin_id"]].assign(event_timestamp=online["published_at"])
later = reader.get_historical_features(later, KNOWN)
assert (later[[*KNOWN, "as_of"]] == online[[*KNOWN, "as_of"]]).all(axis=None)
print(f"{len(online):,} pins x {len(KNOWN)} features: all equal")

# %% [markdown]
# The pins that the model would show now:

# %%
online["chance of a save"] = honest.predict_proba(online[KNOWN].astype(float).to_numpy())[:, 1]
online.nlargest(5, "chance of a save").drop(columns=["as_of", "published_at"]).round(3)
